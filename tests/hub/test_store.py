"""The models on this machine: found, listed, shown, checked and removed by name."""

import dataclasses
import json
from pathlib import Path

import pytest

from hub.published import CONFIGS, tiny_repository
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub import (
    NotPulledError,
    import_model,
    list_models,
    remove_model,
    resolve,
    show_model,
    verify_model,
)
from pocketphi.hub.disk import locked
from pocketphi.hub.store import lock_path, model_path


@pytest.fixture(scope="session")
def pocket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model file."""
    folder = tmp_path_factory.mktemp("tiny")
    for name, content in tiny_repository().items():
        (folder / name).write_bytes(content)
    return import_model(folder, folder / "tiny.pocket", bits=4)


@pytest.fixture
def stored(here: Settings, pocket: Path) -> Path:
    """The store with one model in it, `tiny`."""
    path = model_path("tiny", here)
    path.parent.mkdir(parents=True)
    path.write_bytes(pocket.read_bytes())
    return path


def test_a_model_is_found_by_name_and_by_path(stored: Path, monkeypatch: pytest.MonkeyPatch):
    assert resolve("tiny") == stored
    assert resolve(stored) == resolve(str(stored)) == stored
    monkeypatch.chdir(stored.parent)
    assert resolve("tiny.pocket").resolve() == stored
    assert resolve("./tiny.pocket").resolve() == stored


def test_a_stored_name_wins_over_a_file_of_that_name(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny").write_bytes(b"")
    Path("alone").write_bytes(b"")
    assert resolve("tiny") == stored
    assert resolve("alone") == Path("alone")


@pytest.mark.parametrize("name", ["smollm2-135m", "phi-3.5-mini", "hf:owner/model", "hf:owner/model/x.gguf"])
def test_a_known_model_that_is_not_here_says_how_to_get_it(here: Settings, name: str):
    with pytest.raises(NotPulledError, match="is not on this machine yet") as error:
        resolve(name)
    assert error.value.hint == f"run `pocketphi pull {name}`"
    assert error.value.name == name


def test_an_unknown_name_hints_at_the_nearest(stored: Path):
    for typed, meant in [("tny", "tiny"), ("phi3-mini-4k", "phi-3-mini-4k"), ("TINY", "tiny")]:
        with pytest.raises(UserError, match=f"no model is called `{typed}`") as error:
            resolve(typed)
        assert f"`{meant}`" in (error.value.hint or "")


def test_a_folder_that_is_no_model_says_so_and_what_to_do(stored: Path, tmp_path: Path):
    folder = tmp_path / "notes"
    folder.mkdir()
    with pytest.raises(UserError, match="is not a model: a folder") as error:
        resolve(folder)
    assert not isinstance(error.value, NotPulledError)
    assert "pocketphi import" in (error.value.hint or "")
    (folder / "x.gguf").write_bytes(b"")
    with pytest.raises(UserError, match="is not a model") as error:
        resolve(folder)
    assert f"`{folder / 'x.gguf'}`" in (error.value.hint or "")


def test_a_missing_file_hints_at_its_neighbour(stored: Path):
    with pytest.raises(UserError, match="there is no such file") as error:
        resolve(stored.with_name("tinny.pocket"))
    assert error.value.hint == "did you mean `tiny.pocket`?"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../tiny",
        "a\0b",
        "a\nb",
        "~no-such-user/x",
        "x" * 5000,
        "./" + "x" * 5000,
        "a\0/b",
        "hf:",
        "\ud800",
    ],
)
def test_no_name_breaks_the_look_up(stored: Path, name: str):
    with pytest.raises(UserError) as error:
        resolve(name)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


def test_the_list_has_facts_and_problems(stored: Path, here: Settings):
    model_path("broken", here).write_bytes(b"not a model")
    (stored.parent / ".tiny.pocket.0123.partial").write_bytes(b"")
    (stored.parent / "notes.txt").write_bytes(b"")
    broken, tiny = list_models()
    assert (broken.name, broken.size_bytes, broken.num_parameters) == ("broken", 11, None)
    assert "broken.pocket" in (broken.problem or "")
    config = json.loads(tiny_repository()["config.json"])
    matrices = 2 * 448 * 64 + (192 + 64 + 128 + 64) * 64
    assert (tiny.name, tiny.path, tiny.problem) == ("tiny", stored, None)
    assert tiny.num_parameters == matrices + 3 * config["hidden_size"]
    assert tiny.bits_per_weight == pytest.approx(4.25, abs=0.2)
    assert (tiny.architecture, tiny.context) == ("Phi3ForCausalLM", 4096)


def test_an_empty_store_is_an_empty_list(here: Settings):
    assert list_models() == []


def test_show_tells_what_the_header_says(stored: Path):
    facts = show_model("tiny")
    assert (facts.name, facts.path, facts.size_bytes) == ("tiny", str(stored), stored.stat().st_size)
    assert facts.weight_formats["q4"] == facts.num_parameters - 3 * 64
    assert facts.config["sliding_window"] == CONFIGS["phi-3-mini-4k"]["sliding_window"]
    assert list(facts.memory_bytes) == [2048, 4096]
    per_position = 2 * facts.config["num_key_value_heads"] * facts.config["head_dim"] * 2
    assert facts.memory_bytes[4096] - facts.memory_bytes[2048] == 2048 * per_position
    assert facts.template == "phi-3"
    assert {400, 401, 407} <= set(facts.stop_token_ids)
    assert facts.lineage["bits"] == 4
    assert json.loads(json.dumps(dataclasses.asdict(facts)))["name"] == "tiny"
    assert show_model(stored).lineage == facts.lineage


def test_verify_finds_any_changed_byte_of_the_weights(stored: Path):
    steps: list[tuple[int, int]] = []
    assert verify_model("tiny", lambda done, total: steps.append((done, total))) == stored
    assert steps[-1][0] == steps[-1][1]
    raw = bytearray(stored.read_bytes())
    raw[-1000] ^= 1
    stored.write_bytes(raw)
    with pytest.raises(UserError, match="is damaged"):
        verify_model("tiny")


def test_a_catalogue_model_must_name_the_pinned_source(stored: Path, here: Settings):
    posing = model_path("smollm2-135m", here)
    posing.write_bytes(stored.read_bytes())
    with pytest.raises(UserError, match="not made from the file that the catalogue pins"):
        verify_model("smollm2-135m")
    assert verify_model(posing) == posing, "by its path it claims nothing"


def test_remove_frees_what_it_says_and_nothing_else(stored: Path, here: Settings):
    other = model_path("other", here)
    other.write_bytes(b"other")
    size = stored.stat().st_size
    left = here.cache_dir / "downloads" / "tiny" / "commit" / "model.safetensors.0123.partial"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"12345")
    assert remove_model("tiny") == size + 5
    assert [path for path in here.cache_dir.rglob("*") if path.is_file()] == [other]


def test_a_removed_download_does_not_take_linked_files_with_it(here: Settings, tmp_path: Path):
    (tmp_path / "precious").write_bytes(b"1")
    staging = here.cache_dir / "downloads" / "phi-3-mini-4k"
    staging.mkdir(parents=True)
    (staging / "model.safetensors").symlink_to(tmp_path / "precious")
    remove_model("phi-3-mini-4k")
    assert (tmp_path / "precious").exists()
    assert not staging.exists()


@pytest.mark.parametrize("name", ["../models/tiny", "/etc/passwd", "./tiny.pocket", "~", "", "a/../tiny"])
def test_remove_takes_names_and_no_paths(stored: Path, name: str):
    with pytest.raises(UserError, match="is not a model name"):
        remove_model(name)
    assert stored.exists()


def test_a_model_that_is_being_pulled_is_not_removed(stored: Path, here: Settings):
    with (
        locked(lock_path("tiny", here), on_wait=lambda _: None),
        pytest.raises(UserError, match=r"`tiny` cannot be removed: process \d+ is working on the same model"),
    ):
        remove_model("tiny")
    assert stored.exists()


def test_removing_what_is_not_there_says_so(stored: Path):
    with pytest.raises(UserError, match="is not on this machine"):
        remove_model("smollm2-135m")
    with pytest.raises(UserError, match="no model is called `tinny`") as error:
        remove_model("tinny")
    assert "`tiny`" in (error.value.hint or "")
