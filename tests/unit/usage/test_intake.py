"""What is too much at once is sent away, and the places are free again afterwards."""

import pytest
from werkzeug.exceptions import TooManyRequests

from app.usage.intake import Intake


def test_so_many_and_no_more() -> None:
    door = Intake(2, patience=0.01)
    with door.enter(), door.enter():
        with pytest.raises(TooManyRequests) as refused, door.enter():
            pass
        assert refused.value.retry_after
    with door.enter(), door.enter():
        pass


def test_a_fault_inside_leaves_the_place_free() -> None:
    door = Intake(1, patience=0.01)
    with pytest.raises(KeyError), door.enter():
        raise KeyError
    with door.enter():
        pass
