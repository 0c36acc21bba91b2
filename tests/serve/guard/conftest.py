"""The server as it is started by the verb, once on loopback and once for a network: real sockets, real TLS."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.serve.addresses import listen
from pocketphi.serve.app import guarded_app
from pocketphi.serve.certificate import certificate_for
from pocketphi.serve.guard.protocol import Limits
from pocketphi.serve.listen import make_server
from pocketphi.serve.openai.served import ServedModel, ServeOptions
from tiny import tiny_config, write_tiny

KEY = "the-key-of-this-test-and-no-other"
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running server, and how to reach it."""

    address: tuple[str, int]
    authority: str
    """The `Host` of good clients."""
    scheme: str
    key: str | None
    scheduler: Scheduler
    tls: ssl.SSLContext | None = field(repr=False)

    def connect(self) -> socket.socket:
        """A fresh connection."""
        plain = socket.create_connection(self.address, PATIENCE_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=self.address[0])

    def ask(self, raw: bytes) -> tuple[int, bytes]:
        """Send bytes and read the whole answer; status 0 if the connection closed without one."""
        answer = b""
        with self.connect() as connection:
            try:
                connection.sendall(raw)
                while part := connection.recv(65536):
                    answer += part
                    if is_whole(answer):
                        break
            except (ConnectionError, ssl.SSLError):
                pass
            except TimeoutError:
                raise AssertionError(f"no end of the answer to {raw[:80]!r}: {answer[:200]!r}") from None
        return (int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0), answer


def is_whole(answer: bytes) -> bool:
    """Whether an answer with a length has come to its end."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if end and head.startswith(b"HTTP/1.1 204"):
        return True
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0].split(b":")[1])


@contextmanager
def running(model: Model, host: str, folder: Path, *, key: str | None, limits: Limits) -> Iterator[Target]:
    """Serve `model` as the verb does."""
    listening = listen(host, 0, ["cosy.test"] if key else [])
    certificate = certificate_for(listening.names, folder) if listening.is_reachable else None
    page = folder / "page"
    page.mkdir(parents=True, exist_ok=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>")
    with Scheduler(model) as scheduler:
        app = guarded_app(
            [ServedModel(name="tiny", model=model, scheduler=scheduler)],
            listening,
            keys=[key] if key else [],
            allowed_origins=["https://notes.test"],
            certificate=certificate,
            options=ServeOptions(page=page),
            body_seconds=1.0,
        )
        server = make_server(app, [scheduler], certificate=certificate, limits=limits, drain_seconds=1.0)
        run = threading.Thread(target=lambda: asyncio.run(server.serve(list(listening.sockets))), daemon=True)
        run.start()
        while not server.started:
            assert run.is_alive()
            run.join(0.005)
        # Not the first name but an address, so that no resolver has a say.
        name = next(name for name in listening.names if name[0].isdigit() and ":" not in name)
        tls = None if certificate is None else ssl.create_default_context(cafile=str(certificate.authority))
        try:
            yield Target(
                address=(name, listening.port),
                authority=f"{name}:{listening.port}",
                scheme=listening.scheme,
                key=key,
                scheduler=scheduler,
                tls=tls,
            )
        finally:
            server.should_exit = True
            run.join(PATIENCE_SECONDS)


@pytest.fixture(scope="package")
def guarded_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model(write_tiny(tmp_path_factory.mktemp("guarded") / "tiny.pocket", tiny_config()), threads=1) as model:
        yield model


LIMITS = Limits(head_seconds=1.0, write_seconds=1.0)


@pytest.fixture(scope="package", params=["loopback", "network"])
def target(
    request: pytest.FixtureRequest, guarded_model: Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """Both ways to be reached."""
    folder = tmp_path_factory.mktemp("state")
    if request.param == "loopback":
        with running(guarded_model, "localhost", folder, key=None, limits=LIMITS) as target:
            yield target
    else:
        with running(guarded_model, "0.0.0.0", folder, key=KEY, limits=LIMITS) as target:
            yield target
