"""What a page may load and run: our own files, and no script that stands in the page itself."""

from flask import Flask, Response, request

_COMMON = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
)
PAGES = _COMMON + "style-src 'self'"
# Swagger UI writes style attributes.
API_DOCS = _COMMON + "style-src 'self' 'unsafe-inline'"


def init_app(app: Flask) -> None:
    """Send the policy with every page."""
    app.after_request(_set_policy)


def _set_policy(response: Response) -> Response:
    if response.headers.get("Content-Type", "").startswith("text/html"):
        docs = request.path.startswith("/api/docs")
        response.headers.setdefault("Content-Security-Policy", API_DOCS if docs else PAGES)
    if request.path.startswith(("/admin", "/login")) and "/static/" not in request.path:
        response.headers["Cache-Control"] = "no-store"
    return response
