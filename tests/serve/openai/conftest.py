"""A real server on a free port of this machine, around a tiny model, and the official client."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from openai import OpenAI

from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.serve.openai import ServedModel, ServeOptions, create_app
from tiny import tiny_config, write_tiny


@dataclass(frozen=True)
class Served:
    """What a test talks to."""

    url: str
    model: Model
    scheduler: Scheduler

    @property
    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=60)


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve `app` on a free port; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            thread.join(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def served(model: Model, *, options: ServeOptions | None = None, **scheduling: Any) -> Iterator[Served]:
    """A fresh server around `model`."""
    with Scheduler(model, **scheduling) as scheduler:
        app = create_app([ServedModel(name="tiny", model=model, scheduler=scheduler)], options)
        with running(app) as url:
            yield Served(url, model, scheduler)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Tiny, with room for long prompts."""
    config = tiny_config(max_position_embeddings=4096, original_max_position_embeddings=4096)
    with Model(write_tiny(tmp_path_factory.mktemp("served") / "tiny.pocket", config), threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def server(model: Model) -> Iterator[Served]:
    """One for all tests that leave no traces."""
    with served(model) as server:
        yield server


@pytest.fixture
def serve(model: Model) -> Iterator[Callable[..., Served]]:
    """Start a server of one's own; takes what `served` takes."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(served(model, **how))


@pytest.fixture(scope="session")
def client(server: Served) -> OpenAI:
    return server.client


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A built page, of sorts."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>" + "<p>pocketphi</p>" * 100)
    (tmp_path / "assets" / "index-abc123.js").write_text("console.log(1);" * 100)
    (tmp_path / "manifest.webmanifest").write_text("{}")
    return tmp_path
