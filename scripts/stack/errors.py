"""What ends `make up` before it serves, in words the reader can act on."""


class StartError(Exception):
    """Switchyard cannot start; the message says why and what to do about it."""
