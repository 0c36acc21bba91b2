"""A cache of one's own for every test, and a hub on this machine."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.published import tiny_repository
from hub.scenes import CONTENT, FILE, REPO, described
from hub.server import FakeHub, fake_hub
from pocketphi.config import Settings, settings
from pocketphi.hub.download import RemoteFile


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as server:
        yield server


@pytest.fixture
def here(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An environment in which everything lies under `tmp_path` and the hub is the fake one."""
    for variable in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "POCKETPHI_OFFLINE", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return settings()


@pytest.fixture
def remote(hub: FakeHub, here: Settings) -> RemoteFile:
    repo = hub.add(REPO, {FILE: CONTENT})
    return described(hub, repo.commit)


@pytest.fixture
def tiny(hub: FakeHub, here: Settings) -> dict[str, bytes]:
    """A repository `owner/tiny` on the hub; its files."""
    return hub.add("owner/tiny", tiny_repository()).files


@pytest.fixture
def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[object]]:
    """Once called, every socket that is made fails; the list that it returns names them."""

    def forbid() -> list[object]:
        made: list[object] = []

        def refuse(*arguments: object, **_named: object) -> None:
            made.append(arguments)
            raise AssertionError("a socket was made")

        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "create_connection", refuse)
        return made

    return forbid
