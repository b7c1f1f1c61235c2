"""What is told of a provider, check by check."""

from datetime import UTC, datetime, timedelta

import pytest

from app.health.damping import TURNS, Outlook, Told, judge

START = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = 10 * MINUTE

TOLD = {Told.UP: "u", Told.DOWN: "d", Told.FLAPPING: "f"}


def tell(checks: str, every: timedelta = MINUTE) -> str:
    """Checks (+ good, - bad) one interval after the other; each check's alert, or a dot."""
    outlook, alerts = Outlook(), ""
    for number, check in enumerate(checks):
        before = outlook.told
        outlook = judge(outlook, check == "-", START + number * every, WINDOW)
        alerts += "." if outlook.told is before else TOLD[outlook.told]
    return alerts


@pytest.mark.parametrize(
    ("checks", "alerts"),
    [
        ("+++", "..."),  # the first success is no news
        ("-", "d"),  # the first failure is
        ("---", "d.."),
        ("+-+", ".du"),
        ("--++", "d.u."),
        ("-+-", "dud"),
        ("-+-+", "dudf"),  # the fourth turn within ten checks
        ("-+-+-+-+-+", "dudf......"),
        # Steady for a window after the last turn: it is said where it has come to rest.
        ("-+-+" + "+" * 10, "dudf.........u"),
        ("-+-+-" + "-" * 10, "dudf..........d"),
        # A turn within the window begins it anew.
        ("-+-+" + "+" * 5 + "-" * 11, "dudf" + "." * 15 + "d"),
        # Four turns that are further apart are told each.
        ("-" + "+" * 8 + "-+++", "du" + "." * 7 + "du.."),
    ],
)
def test_alerts_of_a_row_of_checks(checks: str, alerts: str) -> None:
    assert tell(checks) == alerts


def test_slow_turns_are_never_damped() -> None:
    assert tell("-+" * 10, every=WINDOW / TURNS) == "du" * 10


def test_what_is_kept_stays_small() -> None:
    outlook = Outlook()
    for number in range(1000):
        now = START + number * timedelta(milliseconds=1)
        outlook = judge(outlook, number % 2 == 0, now, WINDOW)
    assert len(outlook.turns) == TURNS + 1
    assert outlook.told is Told.FLAPPING


def test_a_quiet_provider_needs_no_memory() -> None:
    assert judge(Outlook(), False, START, WINDOW) == Outlook()
