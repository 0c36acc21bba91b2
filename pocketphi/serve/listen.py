"""From open sockets to a server that ends well: uvicorn, with our protocol, our guard and our way to stop.

The first signal ends politely: nothing new is taken, running answers get some seconds to finish, and those that do not
end with an event that says so. The second one ends at once.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.serve.addresses import Listening
from pocketphi.serve.certificate import Certificate
from pocketphi.serve.guard.protocol import Limits, protocol_class

INTERRUPTED = 130


def serve(
    app: ASGIApp,
    listening: Listening,
    schedulers: Sequence[Scheduler],
    *,
    certificate: Certificate | None = None,
    limits: Limits | None = None,
    drain_seconds: float = 10.0,
) -> int:
    """Answer until a signal comes; how many answers were cut short. Arguments as `make_server`."""
    server = make_server(app, schedulers, certificate=certificate, limits=limits, drain_seconds=drain_seconds)
    server.run(sockets=list(listening.sockets))
    return server.num_cut


def make_server(
    app: ASGIApp,
    schedulers: Sequence[Scheduler],
    *,
    certificate: Certificate | None = None,
    limits: Limits | None = None,
    drain_seconds: float = 10.0,
) -> "DrainingServer":
    """A server to run on open sockets.

    Args:
        app: with its guard around it.
        certificate: for HTTPS; None for plain HTTP.
        drain_seconds: what running answers get to finish.
    """
    config = uvicorn.Config(
        app,
        http=protocol_class(Limits() if limits is None else limits),
        ws="none",
        loop="auto",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("x-served-by", "pocketphi")],
        proxy_headers=False,
        ssl_certfile=None if certificate is None else certificate.chain,
        ssl_keyfile=None if certificate is None else certificate.key,
        timeout_keep_alive=30,
        # The schedulers end what still runs after `drain_seconds`; this is for clients that do not read the end.
        timeout_graceful_shutdown=round(drain_seconds) + 3,
    )
    return DrainingServer(config, schedulers, drain_seconds)


class DrainingServer(uvicorn.Server):
    """Ends running answers politely when it is asked to exit."""

    def __init__(self, config: uvicorn.Config, schedulers: Sequence[Scheduler], drain_seconds: float) -> None:
        super().__init__(config)
        self._schedulers = schedulers
        self._drain_seconds = drain_seconds
        self.num_cut = 0
        """Answers that did not come to their end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours, without uvicorn's raising them again at the end: a server that was asked to stop has done its work."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        if self.should_exit:
            os._exit(INTERRUPTED)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drains = [asyncio.to_thread(scheduler.drain, self._drain_seconds) for scheduler in self._schedulers]
        drained = asyncio.gather(*drains)
        await super().shutdown(sockets)
        self.num_cut = sum(await drained)
