"""The page of `gatewright status`: what it says of the control plane's certificate."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (200, "ends in 200 days, on 2027-05-01\n"),
        (12, "ends in 12 days, on 2027-05-01: renew it at the control plane"),
        (-1, "ENDED on 2027-05-01: renew it at the control plane"),
    ],
)
def test_the_end_of_the_certificate(run: Any, double: Any, days: int, words: str) -> None:
    link = {"state": "connected", "certificateDaysLeft": days, "certificateExpiresAt": "2027-05-01T10:00:00Z"}
    double.status = {"controlPlane": link}
    ran = run("status")
    assert ran.code == 0
    assert f"Certificate:  {words}" in ran.out


def test_an_unknown_end_is_not_mentioned(run: Any, double: Any) -> None:
    double.status = {"controlPlane": {"state": "reconnecting"}}
    assert "Certificate" not in run("status").out
