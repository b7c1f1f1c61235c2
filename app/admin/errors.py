"""Errors as pages. Nothing here asks the database: it may be what went wrong."""

from http import HTTPStatus

from flask import g, render_template
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

OTHER_SESSION = (
    "Nothing was saved: you have been signed out since the page was opened, or signed in anew. "
    "Open it again."
)
WAY_OUT = {
    403: "Ask an admin for a role that may do this.",
    404: "It may have been deleted or renamed, or it belongs to somebody else.",
    413: "Send less at once.",
    429: "Wait a minute, then try again.",
    503: "Try again in a moment.",
}


def error_page(error: HTTPException) -> Response:
    """The error's own answer, status and headers, with a readable page as its body."""
    response = error.get_response()
    if error.response is not None or response.status_code < 400:
        return response  # it brought an answer of its own, such as a redirect
    code = response.status_code
    message = OTHER_SESSION if isinstance(error, CSRFError) else error.description
    response.set_data(
        render_template(
            "error.html",
            code=code,
            title=HTTPStatus(code).phrase,
            message=message,
            way_out=WAY_OUT.get(code),
            request_id=g.get("request_id", ""),
        )
    )
    return response
