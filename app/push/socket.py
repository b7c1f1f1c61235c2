"""The WebSocket: it authorises before the handshake, gives its session back, and from then on
touches no database. What it sends, the hub decides; here is read what the client says."""

from urllib.parse import urlsplit

from flask import Blueprint, current_app, g, request
from simple_websocket import Server
from werkzeug.exceptions import BadRequest, Forbidden

from app.accounts.gate import Caller, Permission, current_caller, state_at_start
from app.core.db import db
from app.extensions import sock
from app.push import frames, rights
from app.push.client_frames import BadFrame, ClientFrame, check_allowed, read_frame, read_topics
from app.push.hub import Hub, NotAdded
from app.push.same_thread import SameThread, Signal
from app.push.subscriber import AGENTS, Audience, Subscriber

OPTIONS = {
    "max_message_size": frames.MAX_PAYLOAD,
    "ping_interval": 25,
    "thread_class": SameThread,
    "event_class": Signal,
}
# URLs end up in logs and histories: nothing secret belongs there.
SECRETS_IN_URL = frozenset({"token", "access_token", "api_key", "authorization", "bearer"})

blueprint = Blueprint("push", __name__)


@blueprint.before_request
def admit() -> None:
    """Everything that needs the database, and every refusal that HTTP has a status for."""
    _check_handshake()
    g.admitted_at = state_at_start().rev
    caller = current_caller()
    caller.require(Permission.READ)
    g.identity = rights.confirm(caller, g.admitted_at)
    db.session.remove()  # the socket outlives any snapshot, and the pool is not for sockets
    if caller.token_id is None:
        _check_origin()
    _hub().start()
    _guard_socket()


@blueprint.errorhandler(ConnectionError)
def forget(_error: ConnectionError) -> str:
    """The client left before its handshake was answered: there is nobody to say anything to."""
    return ""


def serve(ws: Server) -> None:
    """One open socket, until it ends."""
    subscriber = Subscriber(ws.sock, g.identity, _audience(current_caller()), g.admitted_at)
    first, complaint = _first_topics(subscriber.audience)
    subscriber.audience = subscriber.audience._replace(topics=first)
    try:
        _hub().add(subscriber)
    except NotAdded as error:
        ws.sock.finish(frames.close_frame(error.code, str(error)))
        return
    try:
        if complaint:
            _hub().tell(subscriber, frames.error(complaint))
        ws.event.on_set = lambda: _listen(ws, subscriber)
        ws.thread.run()  # until the connection ends
    finally:
        _hub().remove(subscriber)
        ws.sock.finish()


for _path, _endpoint in (("/api/ws", "socket"), ("/ws", "socket_at_root")):
    sock.route(_path, bp=blueprint, endpoint=_endpoint)(serve)


def _check_handshake() -> None:
    if SECRETS_IN_URL & request.args.keys():
        raise BadRequest("A token never goes into the URL: send 'Authorization: Bearer ...'.")
    headers = request.headers
    if headers.get("Sec-WebSocket-Version") != "13" or "Sec-WebSocket-Key" not in headers:
        raise BadRequest("This is no WebSocket handshake of version 13.")


def _check_origin() -> None:
    """A browser sends its cookie whoever asks it to; the Origin says whose page asked."""
    if urlsplit(request.headers.get("Origin", "")).netloc.lower() != request.host.lower():
        raise Forbidden("This Origin may not open a socket.")


def _guard_socket() -> None:
    """Put the outbox where flask-sock takes the connection from, and decline compression: it costs
    memory for every socket, and frames are made once for all of them."""
    for name in ("gunicorn.socket", "werkzeug.socket"):
        if name in request.environ:
            request.environ[name] = _hub().guard(request.environ[name])
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)


def _audience(caller: Caller) -> Audience:
    return Audience(frozenset({AGENTS}), caller.agents, caller.user_id, caller.owned_only)


def _first_topics(audience: Audience) -> tuple[frozenset[str], str | None]:
    """The topics of the URL, and what is wrong with them: a wrong one must not cost the stream."""
    asked = request.args.get("topics")
    if asked is None:
        return audience.topics, None
    try:
        frame = read_topics(asked)
        check_allowed(audience, frame.subscribe)
        return frame.topics_after(frozenset()), None
    except BadFrame as error:
        return audience.topics, str(error)


def _listen(ws: Server, subscriber: Subscriber) -> None:
    while ws.input_buffer:
        _obey(subscriber, ws.receive(timeout=0))


def _obey(subscriber: Subscriber, data: str | bytes) -> None:
    try:
        frame = read_frame(data)
        check_allowed(subscriber.audience, frame.subscribe)
        _apply(subscriber, frame)
    except BadFrame as error:
        _hub().tell(subscriber, frames.error(str(error)))


def _apply(subscriber: Subscriber, frame: ClientFrame) -> None:
    topics = frame.topics_after(subscriber.audience.topics)
    if topics != subscriber.audience.topics:
        _hub().listen_to(subscriber, topics)
    if frame.hello is not None:
        _hub().note_hello(subscriber, frame.hello)


def _hub() -> Hub:
    hub: Hub = current_app.extensions["hub"]
    return hub
