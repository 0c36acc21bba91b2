"""A recipe says everything once, strictly: what is wrong with one is named with its path and the nearest name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.recipe import Recipe, load_recipe, parse_recipe, recipe_schema, settings_of

ROOT = Path(__file__).parents[1]
FAST = Path(__file__).parent / "fast.toml"
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_repository_reads_and_has_the_name_of_its_file(path: Path):
    assert load_recipe(path).name == path.stem


def test_the_control_differs_from_nano_only_in_what_is_read_before_sft():
    nano, raw = (load_recipe(ROOT / "recipes" / f"{name}.toml") for name in ("nano", "nano-raw"))
    for table in ("seed", "primer", "tokenizer", "model", "sft", "dpo", "evaluate", "quantize"):
        assert getattr(nano, table) == getattr(raw, table), table
    assert raw.pretrain.phase2 is None
    assert nano.pretrain.phase2 is not None
    assert raw.pretrain.phase1.max_tokens == nano.pretrain.phase1.max_tokens + nano.pretrain.phase2.max_tokens
    assert raw.pretrain.phase1.mixture == {"web": 1.0}
    assert not raw.curate.filter


def test_a_recipe_survives_being_written_as_json():
    recipe = load_recipe(FAST)
    assert parse_recipe(json.loads(json.dumps(settings_of(recipe))), "again") == recipe


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("sft.learning_rat=1e-3", "unknown key `sft.learning_rat`", "did you mean `learning_rate`?"),
        ("pretrain.phase1.max_token=5", "unknown key `pretrain.phase1.max_token`", "did you mean `max_tokens`?"),
        ("pretrain.phase3.max_tokens=5", "unknown key `pretrain.phase3`", "did you mean `phase"),
        ("modle.hidden_size=5", "unknown key `modle`", "did you mean `model`?"),
        ("zzz=1", "unknown key `zzz`", None),
        ("sft.epochs=two", "`sft.epochs` is `two`", None),
        ("sft.epochs=1.5", "`sft.epochs` is `1.5`", None),
        ("sft.epochs=true", "`sft.epochs` is `True`", None),
        ("sft.epochs='2'", "`sft.epochs` is `2`", None),
        ("sft.epochs=0", "`sft.epochs` is `0`", None),
        ("sft.learning_rate=nan", "`sft.learning_rate` is `nan`", None),
        ("sft.learning_rate=inf", "`sft.learning_rate` is `inf`", None),
        ("sft.learning_rate=-1", "`sft.learning_rate` is `-1`", None),
        ("sft.batch_size=[1]", "`sft.batch_size` is", None),
        ("seed=-1", "`seed` is `-1`", None),
        ("name=No/Name", "`name` is `No/Name`", None),
        ("curate.languages=en", "`curate.languages` is `en`", None),
        ("pretrain.phase1.mixture={ wep = 1.0 }", "pretrain.phase1.mixture", None),
        ("pretrain.phase1.mixture={ web = -1.0 }", "pretrain.phase1.mixture", None),
        ("sft.sequence_length=100000", "`sft.sequence_length` 100000 is more than", None),
        ("sft.accumulate=3", "`sft.accumulate` 3 does not divide", None),
        ("sft.qat_group=32", "`sft.qat_group` 32 is not `quantize.group` 64", None),
        ("sft.qat_group=48", "`sft.qat_group` is `48`", None),
        ("model.num_attention_heads=3", "does not divide", None),
        ("model.rms_norm_eps=2.0", "table `model`: `rms_norm_eps` is `2.0`", None),
        ("sft=5", "`sft` is `5`", None),
        ("pretrain.phase1.mixture={}", "`pretrain.phase1.mixture` is `{}`", None),
        ("pretrain.phase1.mixture={ web = 1e308 }", "`pretrain.phase1.mixture.web` is `1e+308`", None),
        ("sft.beta1=1.0", "`sft.beta1` is `1.0`", None),
        ("dpo.beta2=1", "`dpo.beta2` is `1`", None),
        ("sft.weight_decay=inf", "`sft.weight_decay` is `inf`", None),
        ("curate.num_bands=200", "`curate.num_bands` 200 does not divide `num_hashes` 112", None),
        ("curate.num_hashes=1", "`curate.num_bands` 14 does not divide `num_hashes` 1", None),
        ("curate.languages=[]", "`curate.languages` is `()`", None),
        ("curate.languages=['english']", "`curate.languages.0` is `english`", None),
        ("sft.epochs=1" + 400 * "0", "`sft.epochs` is `1000", None),
        ("sft.epochs=0x" + 5000 * "f", "`sft.epochs` is `int too long to show`", None),
        ("model.hidden_size=0x" + 5000 * "f", "`model.hidden_size` is `int too long to show`", None),
        ("sft.epochs=" + 5000 * "9", "Exceeds the limit", None),
        ("seed=" + 5000 * "[" + 5000 * "]", "recursion depth", None),
        (3000 * "a." + "b=1", "it nests deeper than any recipe does", None),
        ("sft", "is not `table.key=value`", None),
        ("=5", "is not `table.key=value`", None),
        ("name.first=5", "`name` is not a table", None),
    ],
)
def test_a_wrong_value_is_named_with_its_path(override: str, message: str, hint: str | None):
    with pytest.raises(UserError) as error:
        load_recipe(FAST, [override])
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert hint is None or hint in (error.value.hint or "")


def test_set_changes_one_key_and_makes_tables():
    recipe = load_recipe(
        FAST, ["sft.learning_rate=2e-5", "name=other", "cluster.num_gpus=8", "curate.languages=['en']"]
    )
    assert (recipe.name, recipe.curate.languages) == ("other", ("en",))
    assert recipe.sft is not None
    assert recipe.sft.learning_rate == 2e-5
    assert recipe.cluster is not None
    assert recipe.cluster.num_gpus == 8


def without(*keys: str) -> dict[str, Any]:
    tables = settings_of(load_recipe(FAST))
    return {key: value for key, value in tables.items() if key not in keys}


def test_parts_that_need_each_other_say_so():
    with pytest.raises(UserError, match="`model` is missing"):
        parse_recipe(without("model"), "r")
    with pytest.raises(UserError, match="`dpo` needs `sft`"):
        parse_recipe(without("sft"), "r")
    with pytest.raises(UserError, match="there is nothing to read"):
        parse_recipe(without("primer", "folders"), "r")
    with pytest.raises(UserError, match="`sft` needs the table `primer`"):
        parse_recipe({**without("primer"), "folders": ["."]}, "r")
    with pytest.raises(UserError, match=r"`pretrain.phase2.mixture` has `lessons`"):
        parse_recipe({**without("primer", "sft", "dpo"), "folders": ["."]}, "r")


def test_folders_join_the_recipes_own_and_must_be_there(tmp_path: Path):
    assert load_recipe(FAST, (), [tmp_path]).folders == (str(tmp_path),)
    with pytest.raises(UserError, match="does not exist"):
        load_recipe(FAST, (), [tmp_path / "missing"])
    with pytest.raises(UserError, match="does not exist"):
        load_recipe(FAST, ["folders=['/no/such/folder']"])


def test_folders_of_a_recipe_are_beside_its_file_and_those_of_the_command_line_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mine" / "pages").mkdir(parents=True)
    (tmp_path / "here" / "more").mkdir(parents=True)
    recipe = tmp_path / "mine" / "recipe.toml"
    recipe.write_text("folders = ['pages']\n" + FAST.read_text())
    monkeypatch.chdir(tmp_path / "here")
    placed = (str(tmp_path / "mine" / "pages"), str(tmp_path / "here" / "more"))
    assert load_recipe(recipe, (), [Path("more")]).folders == placed
    with pytest.raises(UserError, match="mine/more` does not exist"):
        load_recipe(recipe, ["folders=['more']"])


DEEP = b"a = " + 5000 * b"[" + 5000 * b"]"
LONG = b"seed = " + 5000 * b"9"


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"name = ", b"a = 1\na = 2", b"name = 5", DEEP, LONG])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.toml"):
        load_recipe(path)
    with pytest.raises(UserError, match="no such file"):
        load_recipe(tmp_path / "missing.toml")
    with pytest.raises(UserError, match="is a directory"):
        load_recipe(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_value_anywhere_is_taken_or_refused_with_a_message(data: st.DataObject):
    tables: dict[str, Any] = settings_of(load_recipe(FAST))
    where: Any = tables
    key = data.draw(st.sampled_from(sorted(where)))
    while isinstance(where[key], dict) and where[key] and data.draw(st.booleans()):
        where = where[key]
        key = data.draw(st.sampled_from(sorted(where)))
    where[data.draw(st.just(key) | st.text(max_size=8))] = data.draw(VALUES)
    try:
        parse_recipe(tables, "fuzzed.toml")
    except UserError as error:
        message = error.message
        assert message.startswith("fuzzed.toml: ")
        assert message.isprintable()


NUMBERS = (
    st.integers()
    | st.integers(-2, 20)
    | st.floats()
    | st.sampled_from([0, 1, -1, 1.0, 2**31, 2**63, 10**18, 10**400, 1 << 20_000])
)


def numbers_in(tables: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Where in the tables a number stands: the table and the key."""
    found = [(tables, key) for key, value in tables.items() if isinstance(value, int | float)]
    return found + [place for value in tables.values() if isinstance(value, dict) for place in numbers_in(value)]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_number_in_any_field_is_taken_or_refused_by_its_name(data: st.DataObject):
    tables: dict[str, Any] = settings_of(load_recipe(FAST, ["cluster.num_gpus=8", "model.sliding_window=99"]))
    places = numbers_in(tables)
    table, key = places[data.draw(st.integers(0, len(places) - 1))]
    table[key] = data.draw(NUMBERS)
    try:
        recipe = parse_recipe(tables, "fuzzed.toml")
    except UserError as error:
        message = error.message
        assert f"{key}`" in message
    else:
        assert parse_recipe(json.loads(json.dumps(settings_of(recipe), allow_nan=False)), "again") == recipe


def test_the_schema_knows_every_key_and_explains_those_with_a_docstring():
    schema = recipe_schema()
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False
    assert "Rafailov" in schema["$defs"]["Dpo"]["description"]
    assert "generator" in schema["$defs"]["Primer"]["description"]
    assert schema["$defs"]["Curate"]["properties"]["min_similarity"]["description"]


def test_settings_hold_no_path_of_this_machine_unless_the_recipe_names_one():
    assert "/" not in json.dumps(settings_of(load_recipe(ROOT / "recipes" / "nano.toml")))
