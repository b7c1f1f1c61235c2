"""Change push: from a committed rev to every socket, and `GET /sync` for whoever missed it."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Give the app its hub and its sockets; no thread starts yet."""
    from app.extensions import sock
    from app.push import socket
    from app.push.hub import Hub

    app.extensions["hub"] = Hub(app)
    app.config.setdefault("SOCK_SERVER_OPTIONS", socket.OPTIONS)
    sock.init_app(app)
    app.register_blueprint(socket.blueprint)
