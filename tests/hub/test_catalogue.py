"""What a model name means, and what no name can do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.hub.catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    HubSource,
    LocalSource,
    WheelSource,
    check_name,
    find,
    is_name,
    variant_name,
)


def test_the_default_is_a_pinned_wheel():
    source = find(DEFAULT_MODEL).source
    assert isinstance(source, WheelSource)
    assert "==" in source.requirement
    assert len(source.sha256) == len(source.member_sha256) == 64


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_entry_says_what_it_is_and_under_which_licence(entry):
    assert find(entry.name) is entry
    assert check_name(entry.name) == entry.name
    assert entry.about
    assert entry.licence


@pytest.mark.parametrize(
    ("name", "source", "stored", "bits"),
    [
        ("hf:owner/model", HubSource(repo="owner/model"), "owner--model", 4),
        ("hf:owner/model@v1.0", HubSource(repo="owner/model", revision="v1.0"), "owner--model@v1.0", 4),
        ("hf:o/m/x-Q4_0.gguf", HubSource(repo="o/m", file="x-Q4_0.gguf"), "o--m--x-Q4_0", None),
        ("hf:o/m@abc/sub/x.GGUF", HubSource(repo="o/m", revision="abc", file="sub/x.GGUF"), "o--m@abc--sub--x", None),
    ],
)
def test_hub_names(name, source, stored, bits):
    entry = find(name)
    assert (entry.source, entry.name, entry.bits) == (source, stored, bits)


@pytest.mark.parametrize(
    "name",
    [
        "hf:", "hf:owner", "hf:/model", "hf:owner/", "hf:owner/..", "hf:../model", "hf:owner/model/../x.gguf",
        "hf:owner/model//x.gguf", "hf:owner/model/x.safetensors", "hf:owner/model/.gguf", "hf:ow ner/model",
        "hf:owner/model@", "hf:owner/model@../x", "hf:owner/model@a/b", "hf:owner/mo%2e%2edel", "hf:owner/model\n",
        "hf:owner/model?x", "hf:owner/model#x", "hf:owner--x/model", "hf:o/m/a--b.gguf", "hf:o/m/x\\y.gguf",
        "hf:" + "o" * 300 + "/m", "hf:o/m/model-00001-of-00002.gguf", "hf:o/\u0301m", "hf:o/m/\u202ex.gguf",
    ],
)  # fmt: skip
def test_malformed_hub_names_are_refused_with_a_hint(name):
    with pytest.raises(UserError) as error:
        find(name)
    assert error.value.hint
    assert "\n" not in error.value.message


@given(st.text(max_size=60))
def test_no_name_leaves_the_store(name):
    if is_name(name):
        inside = Path("/store") / f"{name}.pocket"
        assert inside.parent == Path("/store")
        assert inside.resolve().parent == Path("/store").resolve()
        assert name.isascii()
        assert name.isprintable()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a..b", "a\0b", "a\nb", "-x", "~x", "a" * 300, "ä", "a b"]
)
def test_names_that_are_no_names(name):
    with pytest.raises(UserError, match="is not a model name"):
        check_name(name)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("phi3-mini-4k", "phi-3-mini-4k"), ("Phi-3.5-Mini", "phi-3.5-mini"), ("smollm2", "smollm2-135m")],
)
def test_a_wrong_name_hints_at_the_nearest(typed, meant):
    with pytest.raises(UserError, match="no model is called") as error:
        find(typed)
    assert f"`{meant}`" in (error.value.hint or "")


def test_a_missing_path_hints_at_its_neighbours(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"")
    with pytest.raises(UserError, match="no such file") as error:
        find(str(tmp_path / "modle.gguf"))
    assert error.value.hint == "did you mean `model.gguf`?"
    with pytest.raises(UserError, match="no such file") as error:
        find(str(tmp_path / "nowhere" / "x.gguf"))
    assert "no folder" in (error.value.hint or "")


def test_local_names_tell_files_and_versions_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my model (1).gguf").write_bytes(b"1")
    first, second = (find(str(tmp_path / folder / "my model (1).gguf")) for folder in ("a", "b"))
    assert isinstance(first.source, LocalSource)
    assert first.name.startswith("my-model-1-")
    assert first.name != second.name
    assert find(str(tmp_path / "a" / "my model (1).gguf")) == first
    (tmp_path / "a" / "my model (1).gguf").write_bytes(b"22")
    assert find(str(tmp_path / "a" / "my model (1).gguf")).name != first.name
    folder = find(str(tmp_path / "a"))
    assert (folder.bits, first.bits) == (4, None)


def test_a_choice_of_bits_is_stored_beside_the_default():
    phi = find("phi-3-mini-4k")
    names = [variant_name(phi, bits, group) for bits, group in [(None, 64), (4, 64), (8, 64), (4, 32), (8, 128)]]
    assert names == [
        "phi-3-mini-4k",
        "phi-3-mini-4k",
        "phi-3-mini-4k-8bit",
        "phi-3-mini-4k-g32",
        "phi-3-mini-4k-8bit-g128",
    ]
    assert variant_name(find(DEFAULT_MODEL), 4, 64) == "smollm2-135m-4bit"
