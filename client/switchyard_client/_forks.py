"""What a module must renew in a forked child: the thread that held its lock is not there."""

import os
from collections.abc import Callable


def in_forked_children(renew: Callable[[], None]) -> Callable[[], None]:
    """Have a function called in each forked child, before anything else runs there."""
    if hasattr(os, "register_at_fork"):  # Windows has none, and does not fork
        os.register_at_fork(after_in_child=renew)
    return renew
