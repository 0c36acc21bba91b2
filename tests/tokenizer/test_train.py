"""A tokenizer of our own: the same ids everywhere, the same bytes every time."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.artifact import Artifact, open_artifact
from pocketphi.chat import TEMPLATES, Message, match_template, render
from pocketphi.errors import UserError
from pocketphi.recipe import TokenizerTable
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.train import CONTROL_TOKENS, PAD, TURN_END, learn, load_tokenizer, train_tokenizer
from tokenizer.samples import TEXTS

VOCAB_SIZE = 600
CONVERSATION = [
    Message("system", "Be brief."),
    Message("user", "What is 12 + 345?\n\nTake your time. <|end|>"),
    Message("assistant", "12 + 345 = 357.\nAnswer: 357"),
    Message("user", " and  0? "),
]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    out = tmp_path_factory.mktemp("trained") / "tokenizer"
    return train_tokenizer(TokenizerTable(vocab_size=VOCAB_SIZE), TEXTS, out, seed=1)


@pytest.fixture(scope="module")
def tokenizer(artifact: Artifact) -> Tokenizer:
    return load_tokenizer(artifact)


@pytest.fixture(scope="module")
def published(artifact: Artifact) -> transformers.PreTrainedTokenizerFast:
    return transformers.AutoTokenizer.from_pretrained(artifact.path)


def test_it_has_as_many_tokens_as_asked_for(tokenizer: Tokenizer, artifact: Artifact) -> None:
    assert tokenizer.vocab_size == artifact.summary["vocab_size"] == VOCAB_SIZE
    assert {name: tokenizer.special_ids[name] for name in CONTROL_TOKENS} == {
        n: i for i, n in enumerate(CONTROL_TOKENS)
    }
    assert (tokenizer.bos_id, tokenizer.add_bos) == (None, False)
    assert tokenizer.pad_id == tokenizer.special_ids[PAD]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_transformers_gives_the_same_ids(
    text: str, tokenizer: Tokenizer, published: transformers.PreTrainedTokenizerFast
) -> None:
    if any(name in text for name in CONTROL_TOKENS):
        pytest.skip("transformers reads control tokens in text")
    assert published.encode(text, add_special_tokens=False) == tokenizer.encode(text)


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_every_text_comes_back(text: str) -> None:
    tokenizer = _small()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not any(tokenizer.is_special(index) for index in ids)


def test_digits_stay_single(tokenizer: Tokenizer) -> None:
    trained = [tokenizer.piece(index) for index in range(len(CONTROL_TOKENS), tokenizer.vocab_size)]
    assert not [piece for piece in trained if any(48 <= byte <= 57 for byte in piece) and len(piece) > 1]


def test_the_chat_format_is_phi3s(tokenizer: Tokenizer, published: transformers.PreTrainedTokenizerFast) -> None:
    assert match_template(template_text=published.chat_template, special_tokens=tokenizer.special_ids).name == "phi-3"
    messages = [message for message in CONVERSATION if "<|" not in message.content]
    ids = tokenizer.encode_segments(render(TEMPLATES["phi-3"], messages))
    turns = [{"role": message.role, "content": message.content} for message in messages]
    assert ids == published.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]


def test_line_ends_of_the_template_cost_nothing(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_segments(render(TEMPLATES["phi-3"], [Message("user", "hello")]))
    user, end, assistant = (tokenizer.special_ids[name] for name in ("<|user|>", TURN_END, "<|assistant|>"))
    assert ids == [user, *tokenizer.encode("hello"), end, assistant]


def test_text_cannot_name_a_control_token(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_segments(render(TEMPLATES["phi-3"], CONVERSATION))
    assert ids.count(tokenizer.special_ids[TURN_END]) == len(CONVERSATION)


def test_the_same_texts_give_the_same_bytes_in_any_process(artifact: Artifact, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from pocketphi.recipe import TokenizerTable
from pocketphi.tokenizer.train import train_tokenizer
sys.path.insert(0, sys.argv[2])
from tokenizer.samples import TEXTS
print(train_tokenizer(TokenizerTable(vocab_size=600), TEXTS, Path(sys.argv[1]), seed=1).content)
"""
    contents = {artifact.content}
    for threads in ("1", "3"):
        environment = {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        result = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / threads), str(Path(__file__).parents[1])],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        contents.add(result.stdout.strip())
    assert len(contents) == 1


def test_the_order_of_texts_does_not_matter() -> None:
    shuffled = list(TEXTS)
    random.Random(0).shuffle(shuffled)
    assert learn(shuffled, VOCAB_SIZE) == learn(TEXTS, VOCAB_SIZE)


def test_too_few_words_are_an_error_that_says_how_many_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the texts give \d+ tokens, `tokenizer.vocab_size` asks for 400"):
        train_tokenizer(TokenizerTable(vocab_size=400), ["a b"], tmp_path / "out", seed=1)
    assert not (tmp_path / "out").exists()


def test_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no text to train a tokenizer on"):
        train_tokenizer(TokenizerTable(vocab_size=320), [], tmp_path / "out", seed=1)


def test_reading_stops_at_max_bytes(tmp_path: Path) -> None:
    table = TokenizerTable(vocab_size=320, max_bytes=2000)
    artifact = train_tokenizer(table, (text for _ in range(9) for text in TEXTS), tmp_path / "out", seed=1)
    assert 2000 <= artifact.summary["bytes"] < 2600


def test_lone_surrogates_do_no_harm(tmp_path: Path) -> None:
    table = TokenizerTable(vocab_size=330)
    train_tokenizer(table, ["\ud800 broken \udfff", *TEXTS], tmp_path / "out", seed=1)


_CACHE: list[Tokenizer] = []


def _small() -> Tokenizer:
    if not _CACHE:
        _CACHE.append(Tokenizer(learn(TEXTS, VOCAB_SIZE)))
    return _CACHE[0]


def test_an_edited_tokenizer_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    """Two ids change places: it reads as well as before, and every shard means something else."""
    copy = open_artifact(shutil.copytree(artifact.path, tmp_path / "copy"))
    path = copy.path / "tokenizer.json"
    root = json.loads(path.read_bytes())
    ids = root["model"]["vocab"]
    first, second = sorted(ids, key=ids.__getitem__)[100:102]
    ids[first], ids[second] = ids[second], ids[first]
    before = path.stat().st_size
    path.write_text(json.dumps(root, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    assert path.stat().st_size == before
    with pytest.raises(UserError, match=r"tokenizer.json` was changed after it was made"):
        load_tokenizer(copy)
