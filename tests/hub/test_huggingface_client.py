"""The hub's listings, its refusals, and the files that are in the Hugging Face cache already."""

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from hub.server import FakeHub, Fault, git_blob_id
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub import huggingface_client as client
from pocketphi.hub.catalogue import HubSource
from pocketphi.hub.download import Digest
from pocketphi.hub.web import OfflineError, Patience, Unreachable

QUICK = Patience(silence_seconds=0.5, attempts=3, backoff_seconds=0.01)
LARGE = random.Random(1).randbytes(5000)
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": LARGE,
    "README.md": b"#",
    "modeling_phi3.py": b"import os",
}
SOURCE = HubSource(repo="owner/model")


def ask(here: Settings, source: HubSource = SOURCE) -> client.Snapshot:
    return client.fetch_snapshot(source, here, QUICK, notify=lambda _: None)


def test_a_listing_gives_commit_sizes_and_digests(hub: FakeHub, here: Settings):
    repo = hub.add("owner/model", FILES)
    snapshot = ask(here)
    assert (snapshot.repo, snapshot.commit) == ("owner/model", repo.commit)
    assert snapshot.files["config.json"] == client.RepoFile("config.json", 2, Digest("git", git_blob_id(b"{}")))
    large = snapshot.files["model.safetensors"]
    assert large.size == 5000
    assert large.digest is not None
    assert large.digest.kind == "sha256"


def test_a_hub_that_tells_no_digests_is_good_enough(hub: FakeHub, here: Settings):
    hub.add("owner/model", FILES).tells_digests = False
    assert ask(here).files["config.json"] == client.RepoFile("config.json", None, None)


def test_only_what_an_import_reads_is_chosen_and_never_code(hub: FakeHub, here: Settings):
    hub.add("owner/model", FILES | {"pytorch_model.bin": b"x", "sub/model.safetensors": b"x"})
    chosen = [file.path for file in client.choose_files(ask(here), SOURCE)]
    assert chosen == ["config.json", "tokenizer.json", "model.safetensors"]


def test_an_index_chooses_the_numbered_parts(hub: FakeHub, here: Settings):
    parts = {f"model-0000{part}-of-00002.safetensors": b"x" for part in (1, 2)}
    repo = hub.add("owner/model", FILES | parts | {"model.safetensors.index.json": b"{}"})
    del repo.files["model.safetensors"]
    chosen = [file.path for file in client.choose_files(ask(here), SOURCE)]
    assert chosen == ["config.json", "tokenizer.json", "model.safetensors.index.json", *parts]
    del hub.repos["owner/model"].files["model-00001-of-00002.safetensors"]
    with pytest.raises(UserError, match="1 weight files"):
        client.choose_files(ask(here), SOURCE)


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ({"a-Q4_0.gguf": b"x", "b.gguf": b"x"}, "holds GGUF files", "`hf:owner/model/a-Q4_0.gguf`"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "only as pickles", "safetensors"),
        ({"config.json": b"{}"}, "holds no model", "config.json"),
        ({"model.safetensors": b"x"}, "holds no model", "config.json"),
        ({"config.json": b"{}", "model.safetensors": b"x"}, "holds no model", "tokenizer.json"),
        ({}, "holds no model", "config.json"),
    ],
)
def test_a_repository_without_a_model_says_what_there_is(hub, here, files, message, hint):
    hub.add("owner/model", files)
    with pytest.raises(UserError, match=message) as error:
        client.choose_files(ask(here), SOURCE)
    assert hint in (error.value.hint or "")


def test_a_missing_gguf_file_hints_at_the_nearest(hub: FakeHub, here: Settings):
    hub.add("owner/model", {"Model-Q4_0.gguf": b"x", "Model-Q8_0.gguf": b"x"})
    source = HubSource(repo="owner/model", file="model-q4.gguf")
    with pytest.raises(UserError, match=r"has no file `model-q4\.gguf`") as error:
        client.choose_files(ask(here), source)
    assert "`Model-Q4_0.gguf`" in (error.value.hint or "")


def test_an_unknown_repository_hints_at_the_name_and_the_token(hub: FakeHub, here: Settings):
    with pytest.raises(UserError, match="private, needs a licence to be accepted, or does not exist") as error:
        ask(here, HubSource(repo="microsoft/Phi-3-mini-4k"))
    assert "HF_TOKEN" in (error.value.hint or "")
    with pytest.raises(UserError, match="not found") as error:
        ask(dataclasses.replace(here, hf_token="hf_x"), HubSource(repo="microsoft/Phi-3-mini-4k"))
    assert "`microsoft/Phi-3-mini-4k-instruct`" in (error.value.hint or "")


def test_a_refused_token_is_named_as_the_cause_but_not_shown(hub: FakeHub, here: Settings):
    hub.add("owner/model", FILES).private_to = "another"
    with pytest.raises(UserError, match="does not accept the token") as error:
        ask(dataclasses.replace(here, hf_token="hf_mine"))
    assert "hf_mine" not in str(error.value)


def test_an_unknown_revision_is_named(hub: FakeHub, here: Settings):
    hub.add("owner/model", FILES)
    with pytest.raises(UserError, match="has no revision `v9`"):
        ask(here, HubSource(repo="owner/model", revision="v9"))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>sign in to the hotel network</html>", b"[]", b"null", b"\xff", b"{", b"[" * 100_000,
        b'{"sha": null, "siblings": []}', b'{"sha": "main", "siblings": []}', b'{"sha": "../../x", "siblings": []}',
        json.dumps({"sha": "0" * 40, "siblings": {}}).encode(), json.dumps({"sha": "0" * 40, "siblings": [1]}).encode(),
        json.dumps({"sha": "0" * 40}).encode(),
    ],
)  # fmt: skip
def test_a_listing_that_is_none_is_a_clear_error(hub: FakeHub, here: Settings, body: bytes):
    hub.add("owner/model", FILES)
    hub.fault("listing", Fault(body=body))
    with pytest.raises(UserError, match="the hub's list of the files of `owner/model`") as error:
        ask(here)
    assert "HF_ENDPOINT" in (error.value.hint or "")


@pytest.mark.parametrize("sibling", [{}, {"rfilename": 1}, {"rfilename": "a\nb"}, {"rfilename": None, "size": 1}])
def test_odd_lines_of_a_listing_are_skipped(hub: FakeHub, here: Settings, sibling: dict[str, object]):
    hub.add("owner/model", FILES)
    hub.fault("listing", Fault(body=json.dumps({"sha": "0" * 40, "siblings": [sibling]}).encode()))
    assert ask(here).files == {}


@pytest.mark.parametrize("size", [-1, 1.5, "9", True, 2**64, None, []])
def test_odd_sizes_count_as_unknown(hub: FakeHub, here: Settings, size: object):
    hub.add("owner/model", FILES)
    line = {"rfilename": "config.json", "size": size, "blobId": "0" * 40, "lfs": {"sha256": "not one"}}
    hub.fault("listing", Fault(body=json.dumps({"sha": "0" * 40, "siblings": [line]}).encode()))
    assert ask(here).files["config.json"] == client.RepoFile("config.json", None, None)


def test_a_listing_survives_breaks_and_gives_up_in_the_end(hub: FakeHub, here: Settings):
    hub.add("owner/model", FILES)
    hub.fault("listing", Fault(cut_after=10), Fault(status=502))
    assert set(ask(here).files) == set(FILES)
    hub.fault("listing", *[Fault(status=502)] * 3)
    with pytest.raises(Unreachable, match="tried 3 times"):
        ask(here)


# --- the Hugging Face cache ------------------------------------------------------------------------------------------


@pytest.fixture
def cached(hub: FakeHub, here: Settings) -> Path:
    """The snapshot folder that the `huggingface_hub` package makes when it downloads from our hub."""
    hub.add("owner/model", FILES)
    return Path(
        huggingface_hub.snapshot_download(
            "owner/model", cache_dir=here.hf_hub_cache, endpoint=hub.endpoint, token=False, etag_timeout=5
        )
    )


def test_our_hub_satisfies_the_official_client(cached: Path):
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == FILES


def test_files_of_the_official_client_are_found(hub: FakeHub, here: Settings, cached: Path):
    snapshot = ask(here)
    for name, content in FILES.items():
        path = client.find_cached_file(snapshot.files[name], snapshot, here, print)
        assert path is not None
        assert path.read_bytes() == content


def test_the_cache_alone_gives_a_snapshot_with_digests(hub: FakeHub, here: Settings, cached: Path):
    offline = client.find_cached_snapshot(SOURCE, here)
    assert offline is not None
    online = ask(here)
    assert offline.commit == online.commit
    assert offline.files["model.safetensors"] == online.files["model.safetensors"]
    pinned = HubSource(repo="owner/model", revision=online.commit)
    assert client.find_cached_snapshot(pinned, here) == offline
    assert client.is_complete(offline, SOURCE)
    assert not client.is_complete(offline, HubSource(repo="owner/model", file="x.gguf"))


def test_a_damaged_file_of_the_cache_is_not_used(hub: FakeHub, here: Settings, cached: Path):
    snapshot = ask(here)
    for damage in (LARGE[:-1], LARGE[:-1] + b"!", b""):
        blob = (cached / "model.safetensors").resolve()
        blob.chmod(0o644)
        blob.write_bytes(damage)
        assert client.find_cached_file(snapshot.files["model.safetensors"], snapshot, here, print) is None
        offline = client.find_cached_snapshot(SOURCE, here)
        assert offline is not None
        assert client.find_cached_file(offline.files["model.safetensors"], offline, here, print) is None


def test_a_cache_of_another_commit_is_not_used(hub: FakeHub, here: Settings, cached: Path):
    hub.repos["owner/model"].files["config.json"] = b"{ }"
    snapshot = ask(here)
    assert client.find_cached_file(snapshot.files["config.json"], snapshot, here, print) is None


@pytest.mark.parametrize("ref", ["", "main", "../../../etc", "\xff", "0" * 39])
def test_a_broken_cache_is_no_cache(here: Settings, ref: str):
    folder = here.hf_hub_cache / "models--owner--model"
    assert client.find_cached_snapshot(SOURCE, here) is None
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(ref, encoding="latin-1")
    assert client.find_cached_snapshot(SOURCE, here) is None


def test_offline_the_hub_is_not_asked(here: Settings, forbid_sockets: Callable[[], list[object]]):
    made = forbid_sockets()
    with pytest.raises(OfflineError):
        ask(dataclasses.replace(here, offline=True))
    assert made == []
