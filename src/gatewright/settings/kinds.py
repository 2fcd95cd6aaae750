"""The vocabulary in which the settings tree is written: field types with their decoding, and constraints.

A constraint only describes and judges one value; `rules.py` applies it and knows the conditions. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from gatewright.settings.decoding import (
    weak_bool,
    weak_duration,
    weak_float,
    weak_int,
    weak_list,
    weak_map,
    weak_nanoseconds,
    weak_str,
)
from gatewright.settings.durations import format_duration


@dataclass(frozen=True, slots=True)
class Kind:
    """The name of a type as the configuration reference prints it."""

    name: str


class Section(BaseModel):
    """One table of the configuration. Frozen; unknown keys are reported by the loader and ignored here."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=(), defer_build=True)


def _secret(value: object) -> object:
    return value if isinstance(value, SecretStr) else weak_str(value)


Bool = Annotated[bool, Kind("bool"), BeforeValidator(weak_bool)]
OptionalBool = Annotated[bool | None, Kind("bool"), BeforeValidator(weak_bool)]
Int = Annotated[int, Kind("int"), BeforeValidator(weak_int)]
Float = Annotated[float, Kind("float"), BeforeValidator(weak_float)]
Str = Annotated[str, Kind("string"), BeforeValidator(weak_str)]
Secret = Annotated[SecretStr, Kind("secret"), BeforeValidator(_secret)]
Duration = Annotated[timedelta, Kind("duration"), BeforeValidator(weak_duration)]
Nanoseconds = Annotated[timedelta, Kind("int (ns)"), BeforeValidator(weak_nanoseconds)]
StrList = Annotated[tuple[Str, ...], Kind("list of string"), BeforeValidator(weak_list)]
StrMap = Annotated[dict[str, Str], Kind("map of string"), BeforeValidator(weak_map)]
ListMap = Annotated[dict[str, StrList], Kind("map of list"), BeforeValidator(weak_map)]
Opaque = Annotated[dict[str, Any], Kind("any"), BeforeValidator(weak_map)]
Tables = (Kind("list of table"), BeforeValidator(weak_list))
"""Metadata of a list of sections: `Annotated[tuple[User, ...], *Tables]`."""


def key(default: Any, about: str) -> Any:  # noqa: ANN401 - the field's own annotation is the type
    """A key with its default and one line on what it does."""
    return Field(default=default, description=about)


def table(section: type[Section]) -> Any:  # noqa: ANN401 - as above
    """A sub-table that is always there, with its own defaults."""
    return Field(default_factory=section)


def zero_means(default: int) -> AfterValidator:
    """Zero stands for the default."""
    return AfterValidator(lambda value: default if value == 0 else value)


def not_positive_means(default: int) -> AfterValidator:
    """Zero and negative numbers stand for the default."""
    return AfterValidator(lambda value: default if value <= 0 else value)


def zero_duration_means(default: timedelta) -> AfterValidator:
    """A zero duration stands for the default."""
    return AfterValidator(lambda value: default if value == timedelta(0) else value)


def not_positive_duration_means(default: timedelta) -> AfterValidator:
    """Zero and negative durations stand for the default."""
    return AfterValidator(lambda value: default if value <= timedelta(0) else value)


def lowered() -> AfterValidator:
    """Case is not significant; the lower-case form is kept."""
    return AfterValidator(lambda value: value.strip().lower())


@dataclass(frozen=True, slots=True)
class Constraint:
    """A judgement about one value, in force while the condition named `when` holds (empty: always).

    `complaint` returns the text after the key's name, or None when the value is fine.
    """

    allowed: str
    complaint: Callable[[Any], str | None]
    when: str = ""


def between(low: float, high: float, when: str = "") -> Constraint:
    """`low` to `high`, both included."""

    def complaint(value: float) -> str | None:
        return None if low <= value <= high else f"must be between {low} and {high}, got: {value}"

    return Constraint(f"{low} to {high}", complaint, when)


def at_most_ms(limit: int) -> Constraint:
    """A positive count of milliseconds up to `limit`."""

    def complaint(value: int) -> str | None:
        if value <= 0:
            return f"must be positive, got: {value}"
        return f"({value}) exceeds maximum reasonable timeout of {limit} ms" if value > limit else None

    return Constraint(f"1 to {limit}", complaint)


def positive(when: str = "") -> Constraint:
    """Greater than zero; numbers and durations."""

    def complaint(value: float | timedelta) -> str | None:
        number = value.total_seconds() if isinstance(value, timedelta) else value
        return f"must be positive, got: {show(value)}" if number <= 0 else None

    return Constraint("more than 0", complaint, when)


def at_least(low: int, when: str = "") -> Constraint:
    """`low` or more; a duration is compared in seconds."""

    def complaint(value: float | timedelta) -> str | None:
        number = value.total_seconds() if isinstance(value, timedelta) else value
        return f"must be >= {low}, got: {show(value)}" if number < low else None

    return Constraint(f"{low} or more", complaint, when)


def up_to(limit: timedelta) -> Constraint:
    """A duration from zero to `limit`, both included."""

    def complaint(value: timedelta) -> str | None:
        if value < timedelta(0):
            return f"must not be negative, got: {show(value)}"
        return f"must not exceed {show(limit)}, got: {show(value)}" if value > limit else None

    return Constraint(f"0s to {format_duration(limit)}", complaint)


def one_of(*values: str, when: str = "", folded: bool = False) -> Constraint:
    """One of the given words; `folded`: in any case."""
    names = ", ".join(value for value in values if value)

    def complaint(value: str) -> str | None:
        known = value.lower() in values if folded else value in values
        return None if known else f"must be one of: {names}, got: {value}"

    note = " (any case)" if folded else ""
    return Constraint(", ".join(f'"{value}"' for value in values) + note, complaint, when)


def not_blank(when: str = "") -> Constraint:
    """Something other than white space."""

    def complaint(value: str | SecretStr) -> str | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return None if text.strip() else "is required and cannot be empty"

    return Constraint("not empty", complaint, when)


def show(value: object) -> str:
    """A value in a text for people: durations in Go notation, everything else as it is."""
    return format_duration(value) if isinstance(value, timedelta) else str(value)


Port = Annotated[int, Kind("int"), BeforeValidator(weak_int), between(1, 65535)]
PositiveDuration = Annotated[timedelta, Kind("duration"), BeforeValidator(weak_duration), positive()]
