"""How pages write a length of time."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """300 as "5 min", 90 as "90 s": the largest unit of which there are two or more, evenly."""
    for length, unit in _UNITS:
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
