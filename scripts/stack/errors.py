"""What ends `make up` before it serves, in words the reader can act on."""


class StartError(Exception):
    """Switchyard cannot start; the message says why and what to do about it."""


def in_words(error: OSError) -> str:
    """What the system said, and of which file, without a traceback."""
    said = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {said}" if error.filename else said
