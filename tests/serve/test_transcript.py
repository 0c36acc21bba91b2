import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.chat import Message
from pocketphi.errors import UserError
from pocketphi.serve.transcript import FORMAT, Transcript, load, markdown, save

TALK = Transcript(
    model="tiny",
    messages=(Message("system", "be brief"), Message("user", "hi"), Message("assistant", "hello")),
    settings={"temperature": 0.5, "seed": 7},
)


@given(
    st.lists(st.tuples(st.text(), st.text())),
    st.none() | st.text(),
    st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False)),
)
def test_a_conversation_survives_the_file(tmp_path_factory, turns, system, settings):
    messages = [] if system is None else [Message("system", system)]
    for question, answer in turns:
        messages += [Message("user", question), Message("assistant", answer)]
    talk = Transcript(model="tiny", messages=tuple(messages), settings=settings)
    path = tmp_path_factory.mktemp("talk") / "talk.json"
    save(talk, path)
    assert load(path) == talk


def test_nothing_is_replaced_unless_asked(tmp_path):
    path = tmp_path / "talk.json"
    path.write_text("mine")
    with pytest.raises(UserError, match=r"talk\.json` exists"):
        save(TALK, path)
    assert path.read_text() == "mine"
    save(TALK, path, replace=True)
    assert load(path) == TALK
    assert [entry.name for entry in tmp_path.iterdir()] == ["talk.json"]


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "talk.json").symlink_to("elsewhere.json")
    with pytest.raises(UserError, match="exists"):
        save(TALK, tmp_path / "talk.json")


def test_a_folder_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        save(TALK, tmp_path / "missing" / "talk.json")
    assert not list(tmp_path.iterdir())


GOOD = {"format": FORMAT, "model": "tiny", "settings": {}, "messages": []}


def turns(*roles: str) -> dict[str, object]:
    return GOOD | {"messages": [{"role": role, "content": "x"} for role in roles]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('"\\ud800', "not JSON"),
        ([], "`format` is not"),
        (None, "`format` is not"),
        (GOOD | {"format": "pocketphi conversation 2"}, "`format` is not"),
        (GOOD | {"model": 1}, "`model` is not text"),
        (GOOD | {"settings": []}, "`settings` is not an object"),
        (GOOD | {"settings": {"seed": "1"}}, r"`settings\.seed` is not a number"),
        (GOOD | {"settings": {"seed": True}}, r"`settings\.seed` is not a number"),
        (GOOD | {"messages": {}}, "`messages` is not a list"),
        (GOOD | {"messages": ["hi"]}, r"`messages\[0\]\.content` is not text"),
        (GOOD | {"messages": [{"role": "user"}]}, r"`messages\[0\]\.content` is not text"),
        (turns("tool"), r"`messages\[0\]\.role` is `tool`"),
        (turns("assistant"), "`user` must come here"),
        (turns("user", "user"), "`assistant` must come here"),
        (turns("user", "system"), "`assistant` must come here"),
        (turns("system", "user"), "the last question has no answer"),
    ],
)
def test_what_is_not_a_conversation_is_refused_with_the_field(tmp_path, content, message):
    path = tmp_path / "talk.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message):
        load(path)


def test_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "missing.json")
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'"\xe9"')
    with pytest.raises(UserError, match="not JSON in UTF-8"):
        load(tmp_path / "latin.json")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="a conversation has at most"):
        load(tmp_path / "huge.json")


def test_markdown_shows_who_said_what():
    assert markdown("tiny", TALK.messages) == (
        "# Chat with tiny\n\n## System\n\nbe brief\n\n## User\n\nhi\n\n## Assistant\n\nhello\n"
    )


def test_half_a_character_is_replaced(tmp_path):
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(GOOD | {"messages": [{"role": "system", "content": "a\ud800b"}]}))
    assert load(path).messages == (Message("system", "a?b"),)
