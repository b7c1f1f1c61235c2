"""Admin: whether its person is still signed in, which an open page asks before it sends."""

from flask import jsonify
from flask.typing import ResponseReturnValue
from flask_admin import BaseView
from flask_wtf.csrf import generate_csrf

from app.admin.base import expose
from app.admin.gate import Gate


class SessionView(Gate, BaseView):
    """The session that a page would send with: another one, once somebody has signed in again."""

    def is_visible(self) -> bool:
        return False  # only session.js asks

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """CSRF's token of this session; who has none is led to the login page."""
        return jsonify({"csrf_token": generate_csrf()})
