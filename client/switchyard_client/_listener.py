"""The thread that does what the protocol decides: waits, reads, syncs, reports back."""

import contextlib
import json
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from ._cache import Cache
from ._errors import TransportError
from ._events import (
    NETWORK_FAILURE,
    Action,
    Apply,
    BatchApplied,
    BatchRefused,
    Confirm,
    Connect,
    Disconnect,
    Event,
    Expire,
    Failure,
    FrameReceived,
    RefreshWanted,
    SayHello,
    SetStatus,
    Started,
    StreamEnded,
    StreamOpened,
    Sync,
    SyncAnswered,
    SyncFailed,
    Ticked,
)
from ._log import logger
from ._models import Status
from ._protocol import Protocol
from ._sockets import Selector, abandon_socket
from ._stream import Stream
from ._transport import USER_AGENT, Transport


class Listener:
    """Runs one `Protocol` against one `Transport` on one daemon thread."""

    def __init__(
        self,
        protocol: Protocol,
        transport: Transport,
        cache: Cache,
        *,
        client_id: Callable[[], str],
        on_status: Callable[[Status], None],
        on_applied: Callable[[], None],
        on_confirmed: Callable[[], None],
        name: str,
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._cache = cache
        self._client_id = client_id
        self._on_status = on_status
        self._on_applied = on_applied
        self._on_confirmed = on_confirmed
        self._stream: Stream | None = None
        self._events: deque[Event] = deque()
        self._stopping = False
        self._trouble = "it answers with what no Switchyard server says"
        self._bells: tuple[socket.socket, socket.socket] | None = None
        self._selector = Selector()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Raises OSError or RuntimeError where the system has no descriptor or thread left."""
        self._bells = bell, push = socket.socketpair()
        bell.setblocking(False)
        push.setblocking(False)
        self._selector.register(bell, selectors.EVENT_READ)
        self._events.append(Started())
        self._ring()
        try:
            self._thread.start()
        except RuntimeError:
            self._let_go()
            raise

    def refresh(self) -> None:
        """Ask the server soon; from any thread."""
        self._events.append(RefreshWanted())
        self._ring()

    def stop(self) -> threading.Thread | None:
        """End soon, also from inside a blocking exchange; the thread, to be joined."""
        self._stopping = True
        self._transport.interrupt()
        self._ring()
        return self._thread if self._bells is not None else None

    def abandon(self) -> None:
        """In a forked child, where the thread does not exist: close the inherited descriptors."""
        self._stopping = True  # gevent's threads do exist there
        if self._stream is not None:
            self._stream.abandon()
        for bell in self._bells or ():
            abandon_socket(bell)

    def _ring(self) -> None:
        if self._bells is not None:
            with contextlib.suppress(OSError):  # full: it rings already; closed: nobody listens
                self._bells[1].send(b"!")

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # a fault in one message must not end the news for good
                if not self._stopping:
                    self._start_over()
        self._disconnect()
        self._let_go()

    def _let_go(self) -> None:
        self._selector.close()
        for bell in self._bells or ():
            bell.close()

    def _start_over(self) -> None:
        logger.exception("the listener failed and starts over")
        self._disconnect()
        self._feed(StreamEnded(NETWORK_FAILURE))
        self._feed(SyncFailed(NETWORK_FAILURE))

    def _turn(self) -> None:
        self._wait()
        while self._events:
            self._feed(self._events.popleft())
        if self._stream is not None:
            self._read(self._stream)
        self._feed(Ticked())

    def _wait(self) -> None:
        deadline = self._protocol.deadline
        # A ttl may be infinite, a wait may not.
        timeout = None if deadline is None else min(max(0.0, deadline - time.monotonic()), 3600.0)
        self._selector.select(timeout)
        if self._bells is not None:
            with contextlib.suppress(BlockingIOError):
                while self._bells[0].recv(64):
                    pass

    def _read(self, stream: Stream) -> None:
        """All messages that are there: what TLS has buffered never shows up in the selector."""
        while stream is self._stream and not self._stopping:
            try:
                frame = stream.receive()
            except TransportError as error:
                logger.info("%s", error)
                self._trouble = str(error)
                self._disconnect()
                self._feed(StreamEnded(Failure.of(error)))
                return
            if frame is None:
                return
            self._feed(FrameReceived(frame))

    def _feed(self, event: Event) -> None:
        """Hand an event to the protocol, and what comes of it back, until all is quiet.

        What may hang for a while comes last, so that the status is told and a dead stream is closed
        before; a connection comes after the sync, whose values are there then.
        """
        actions = list(self._protocol.handle(event, time.monotonic()))
        while actions and not self._stopping:
            actions.sort(key=_may_hang)
            result = self._perform(actions.pop(0))
            if result is not None:
                actions += self._protocol.handle(result, time.monotonic())

    def _perform(self, action: Action) -> Event | None:  # one line an action
        match action:
            case Sync():
                return self._sync(action)
            case Connect():
                return self._connect()
            case Apply():
                return self._apply(action)
            case SayHello():
                return self._say_hello(action)
            case Disconnect():
                logger.info("stream dropped: %s", action.reason)
                self._disconnect()
            case Confirm():
                self._cache.confirm()
                self._on_confirmed()
            case Expire():
                self._cache.expire()
            case SetStatus():
                self._tell(action.status)
                self._on_status(action.status)
        return None

    def _tell(self, status: Status) -> None:
        """Reads go on with what is known, or with a stand-in: nothing but the log shows why."""
        if status is Status.UNAUTHORIZED:
            logger.warning("the server refuses the token: %s", self._trouble)
        elif status is Status.STALE:
            logger.warning("the server tells no configuration: %s", self._trouble)
        else:
            logger.info("status %s", status)

    def _sync(self, action: Sync) -> Event:
        try:
            answer = self._transport.sync(action.epoch, action.since, action.etag)
        except TransportError as error:
            logger.info("sync failed: %s", error)
            self._trouble = str(error)
            return SyncFailed(Failure.of(error))
        return SyncAnswered(answer)

    def _connect(self) -> Event:
        self._disconnect()
        try:
            self._stream = self._transport.open_stream()
        except TransportError as error:
            logger.info("%s", error)
            self._trouble = str(error)
            return StreamEnded(Failure.of(error))
        self._selector.register(self._stream, selectors.EVENT_READ)
        return StreamOpened()

    def _disconnect(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._selector.unregister(stream)
            stream.close()

    def _apply(self, action: Apply) -> Event:
        if not self._cache.apply(action.batch):
            return BatchRefused()
        self._on_applied()
        return BatchApplied(action.batch)

    def _say_hello(self, action: SayHello) -> Event | None:
        hello = {
            "client_id": self._client_id(),
            "sdk": USER_AGENT,
            "epoch": action.epoch,
            "since": action.rev,
            "applied_rev": action.rev,
        }
        if self._stream is None:
            return None
        try:
            self._stream.send(json.dumps({"hello": hello}))
        except TransportError as error:
            self._disconnect()
            return StreamEnded(Failure.of(error))
        return None


def _may_hang(action: Action) -> int:
    """How late an action is performed."""
    return 1 if isinstance(action, Sync) else 2 if isinstance(action, Connect) else 0
