"""Opening addresses: who is sent the token, where redirects may lead, which refusals are worth another try."""

import dataclasses
import time
from pathlib import Path

import pytest

from hub.scenes import CONTENT, FILE, QUICK, REPO, fetch
from hub.server import FakeHub, Fault
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub import web
from pocketphi.hub.download import RemoteFile, download
from pocketphi.hub.web import Refused


def test_the_token_reaches_the_hub_and_no_other_host(hub, remote, here, tmp_path):
    hub.repos[REPO].private_to = "hf_very_secret"
    here = dataclasses.replace(here, hf_token="hf_very_secret")
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    tokens = {seen.server: seen.headers.get("authorization") for seen in hub.requests}
    assert tokens == {"hub": "Bearer hf_very_secret", "content": None}


def test_the_token_survives_a_redirect_on_the_same_host(hub, remote, here, tmp_path):
    hub.repos[REPO].private_to = "hf_very_secret"
    here = dataclasses.replace(here, hf_token="hf_very_secret")
    hub.fault("redirect", Fault(headers={"Location": remote.url}))
    assert fetch(remote, tmp_path / "w", here) == CONTENT


def test_neither_token_nor_signature_shows_in_errors(hub, remote, here, tmp_path):
    here = dataclasses.replace(here, hf_token="hf_very_secret")
    assert "secret" not in repr(here)
    texts = []
    for fault in (
        Fault(status=500),
        Fault(status=403),
        Fault(cut_after=10),
        Fault(announce=7),
        Fault(status=302, headers={"Location": "http://127.0.0.1:1/?secret"}),
    ):
        hub.faults.clear()
        hub.fault(FILE, *[fault] * 10)
        with pytest.raises((UserError, Refused)) as error:
            download(remote, tmp_path / "w", here, patience=QUICK, progress=lambda text, *_: texts.append(text))
        texts.append(str(error.value))
    assert len(texts) > 10
    assert not [text for text in texts if "secret" in text]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", "not an http or https address"),
        ("ftp://127.0.0.1/x", "not an http or https address"),
        ("data:text/plain,x", "not an http or https address"),
    ],
)
def test_a_redirect_leads_to_web_addresses_only(hub, remote, here, tmp_path, location, message):
    hub.fault("redirect", Fault(headers={"Location": location}))
    with pytest.raises(UserError, match=message):
        download(remote, tmp_path / "w", here, patience=QUICK)


def test_an_encrypted_connection_stays_encrypted():
    assert web.next_hop("https://hub/a", "/b") == "https://hub/b"
    assert web.next_hop("http://hub/a", "https://cdn/b") == "https://cdn/b"
    with pytest.raises(UserError, match="redirects from https to `http://cdn/b`, which is not encrypted"):
        web.next_hop("https://hub/a", "http://cdn/b?signature=1")


def test_a_server_that_does_not_speak_tls_is_a_clear_error(remote: RemoteFile, here: Settings, tmp_path: Path):
    with pytest.raises(UserError, match="no connection to"):
        download(
            dataclasses.replace(remote, url=remote.url.replace("http:", "https:")), tmp_path / "w", here, patience=QUICK
        )


def test_a_ring_of_redirects_ends(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault("redirect", *[Fault(headers={"Location": remote.url})] * 50)
    with pytest.raises(UserError, match="redirects more than"):
        download(remote, tmp_path / "w", here, patience=QUICK)


def test_nobody_there_is_a_clear_error(remote: RemoteFile, here: Settings, tmp_path: Path):
    with pytest.raises(UserError, match=r"no connection to `127.0.0.1:1`: .*refused") as error:
        download(dataclasses.replace(remote, url="http://127.0.0.1:1/x"), tmp_path / "w", here, patience=QUICK)
    assert "check the network" in (error.value.hint or "")


@pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
def test_a_no_is_not_asked_again(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path, status: int):
    hub.fault(FILE, Fault(status=status))
    with pytest.raises(Refused) as refused:
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert refused.value.status == status
    assert len(hub.asked_for(FILE)) == 1


def test_429_waits_as_long_as_it_is_told(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(status=429, headers={"Retry-After": "1"}))
    start = time.monotonic()
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("retry_after", ["soon", "-1", "1e999", "9" * 5000, "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_a_senseless_retry_after_is_not_obeyed(hub, remote, here, tmp_path, retry_after):
    hub.fault(FILE, Fault(status=429, headers={"Retry-After": retry_after}))
    start = time.monotonic()
    assert fetch(remote, tmp_path / "w", here, dataclasses.replace(QUICK, max_retry_after_seconds=0.1)) == CONTENT
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_in_trouble_is_asked_again(
    hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path, status: int
):
    hub.fault(FILE, Fault(status=status), Fault(status=status))
    assert fetch(remote, tmp_path / "w", here) == CONTENT
