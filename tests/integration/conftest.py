"""What all tests here share."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def patient_writers() -> Iterator[None]:
    """Writers of this process wait for each other: on a busy machine five seconds are not long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.core.db.BUSY_SECONDS", 60)
        yield
