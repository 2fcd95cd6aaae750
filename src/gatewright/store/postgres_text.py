"""Strings have no bound with PostgreSQL. To import this module is enough.

The lengths in the tables are those of the original's SQL Server script; for PostgreSQL it has text, and so have we.
"""

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import DDLCompiler
from sqlalchemy.types import String


@compiles(String, "postgresql")
def _text(_type: String, _compiler: DDLCompiler, **_: Any) -> str:  # noqa: ANN401 - as SQLAlchemy has it
    return "TEXT"
