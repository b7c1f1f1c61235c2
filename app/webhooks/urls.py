"""What is shown of a webhook's URL: receivers put a key into its query, or into its path. Pure."""

HIDDEN = "..."
ENTER_WHOLE = f"Enter the whole URL: {HIDDEN} stands for what is not shown."


def shown_url(url: str, hide_path: bool = False) -> str:
    """The URL without its query, which may be a key, and without a path that is one.

    What is shown already stays as it is. Takes any text: what people type comes by here too.
    """
    address, mark, query = url.partition("?")
    if hide_path:
        scheme, separator, rest = address.partition("://")
        host, _, path = rest.partition("/")
        address = f"{scheme}{separator}{host}/{HIDDEN}" if path else address
    return f"{address}{mark}{HIDDEN}" if query else address + mark


def is_shown_form(url: str) -> bool:
    """Whether something of the URL is hidden: nothing can be sent there."""
    return url.rstrip("?").endswith((f"/{HIDDEN}", f"?{HIDDEN}"))
