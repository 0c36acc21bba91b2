"""Pulls that cannot succeed say what to do and leave nothing behind; pulls without a network use what is here."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from hub.scenes import QUICK, TINY, WEIGHTS, files_in, weights_asked
from hub.server import FakeHub
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.formats.pocket import verify_pocket
from pocketphi.hub import disk, fetch, pull, remove_model
from pocketphi.hub.web import OfflineError

# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "hf_secret"])
def test_a_gated_repository_names_the_page_and_the_variable(hub, here, tiny, monkeypatch, token):
    hub.repos["owner/tiny"].gated = True
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match="only to those who accepted its licence") as error:
        pull(TINY, patience=QUICK)
    assert f"{hub.endpoint}/owner/tiny" in (error.value.hint or "")
    assert "HF_TOKEN" in (error.value.hint or "")
    assert "secret" not in str(error.value)


def test_the_stored_token_opens_a_gated_repository(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    hub.repos["owner/tiny"].gated = True
    here.hf_home.mkdir()
    (here.hf_home / "token").write_text("may-read\n")
    verify_pocket(pull(TINY, patience=QUICK))
    assert {seen.headers.get("authorization") for seen in hub.requests if seen.server == "hub"} == {"Bearer may-read"}


def test_a_model_that_cannot_run_is_refused_before_its_weights_are_fetched(
    hub: FakeHub, here: Settings, tiny: dict[str, bytes]
):
    config = json.loads(tiny["config.json"]) | {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    tiny["config.json"] = json.dumps(config).encode()
    with pytest.raises(UserError, match="architecture `gpt2` is not supported"):
        pull(TINY, patience=QUICK)
    assert hub.asked_for(WEIGHTS) == []
    assert list((here.cache_dir / "downloads").iterdir()) == []


def test_names_lead_nowhere_else(here: Settings, forbid_sockets: Callable[[], list[object]]):
    made = forbid_sockets()
    for name in ("../../etc/passwd", "hf:../x", "nothing-like-it", "/dev/zero", "hf:o/m/../../x.gguf", "\0"):
        with pytest.raises(UserError):
            pull(name)
    assert made == []


def test_too_little_space_is_said_before_the_weights_are_fetched(hub, here, tiny, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": (64 << 20) + 1000}))
    with pytest.raises(UserError, match=r"`owner/tiny` needs .* MB on the disk of") as error:
        pull(TINY, patience=QUICK)
    assert "XDG_CACHE_HOME" in (error.value.hint or "")
    assert hub.asked_for(WEIGHTS) == []


def test_a_cache_that_cannot_be_written_is_a_clear_error(hub, here, tiny):
    here.cache_dir.parent.mkdir(exist_ok=True)
    here.cache_dir.write_bytes(b"a file where the folder should be")
    with pytest.raises(UserError, match="cannot write") as error:
        pull(TINY, patience=QUICK)
    assert "XDG_CACHE_HOME" in (error.value.hint or "")


def test_an_import_that_fails_keeps_the_store_clean(hub, here, tiny, monkeypatch):
    def fail(*_arguments: object, **_named: object) -> Path:
        raise UserError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "import_model", fail)
        with pytest.raises(UserError, match="no space"):
            pull(TINY, patience=QUICK)
    assert files_in(here.cache_dir / "models") == []
    assert remove_model(TINY) > len(tiny[WEIGHTS])
    assert files_in(here.cache_dir) == []


# --- the Hugging Face cache, and no network ---------------------------------------------------------------------------


@pytest.fixture
def cached(hub: FakeHub, here: Settings, tiny: dict[str, bytes]) -> Path:
    """`owner/tiny` as the official client leaves it in the Hugging Face cache."""
    options = {"cache_dir": here.hf_hub_cache, "endpoint": hub.endpoint, "token": False}
    path = Path(huggingface_hub.snapshot_download("owner/tiny", **options))
    hub.requests.clear()
    return path


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder, with size and time: what a write would change."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def test_files_in_the_cache_need_no_room(cached, here, monkeypatch):
    free = (64 << 20) + 150_000  # enough for the imported model, not for its source as well
    assert (cached / WEIGHTS).stat().st_size > 150_000
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    verify_pocket(pull(TINY, patience=QUICK))


def test_files_in_the_hugging_face_cache_are_used_and_left_alone(hub: FakeHub, here: Settings, cached: Path):
    before = state_of(here.hf_home)
    verify_pocket(pull(TINY, patience=QUICK))
    assert [seen.path for seen in hub.requests] == ["/api/models/owner/tiny/revision/main?blobs=true"]
    assert state_of(here.hf_home) == before


def test_a_damaged_file_of_the_cache_is_fetched_instead(hub: FakeHub, here: Settings, cached: Path):
    blob = (cached / WEIGHTS).resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"\0" * blob.stat().st_size)
    before = state_of(here.hf_home)
    verify_pocket(pull(TINY, patience=QUICK))
    assert weights_asked(hub) == ["all"]
    assert state_of(here.hf_home) == before


def test_offline_the_hugging_face_cache_is_enough(cached, here, monkeypatch, forbid_sockets):
    monkeypatch.setenv("POCKETPHI_OFFLINE", "1")
    made = forbid_sockets()
    verify_pocket(pull(TINY))
    assert made == []


def test_without_a_network_the_hugging_face_cache_is_enough(cached, here, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    labels: list[str] = []
    verify_pocket(pull(TINY, patience=QUICK, progress=lambda label, *_: labels.append(label)))
    assert "`owner/tiny` is taken from the Hugging Face cache" in labels


@pytest.mark.parametrize("variable", ["POCKETPHI_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("name", ["smollm2-135m", "phi-3-mini-4k", TINY, "hf:owner/tiny/x.gguf"])
def test_offline_nothing_is_opened(here, tiny, monkeypatch, forbid_sockets, variable, name):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    made = forbid_sockets()
    with pytest.raises(OfflineError, match="the network is switched off") as error:
        pull(name)
    assert "POCKETPHI_OFFLINE" in (error.value.hint or "")
    assert made == []


def test_offline_half_a_cache_is_not_enough(cached, here, monkeypatch):
    (cached / WEIGHTS).unlink()
    monkeypatch.setenv("POCKETPHI_OFFLINE", "1")
    with pytest.raises(OfflineError):
        pull(TINY)
