"""Sessions for people: whoever sends no cookie, as every program with a token, costs nothing."""

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin


class PeopleSessions(SecureCookieSessionInterface):
    """Flask's own, looked at only where there is something to look at.

    Flask derives signing keys before it looks for a cookie, and all of a cookie's settings before
    it looks whether there is anything to save: 15 microseconds of every request.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not (session or session.modified):
            if session.accessed:
                response.headers.add("Vary", "Cookie")
        elif session.modified or not response.cache_control.public:  # that is the same for all
            super().save_session(app, session, response)
