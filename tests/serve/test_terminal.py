"""The chat as a person types it: keys in by prompt-toolkit's pipe, the screen out as text, a tiny real model."""

import io
import json
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from pocketphi.chat import Message
from pocketphi.runtime.model import Model
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.session import Session
from pocketphi.serve.screen import ReadingProgress, Screen
from pocketphi.serve.terminal import chat, clean, status
from pocketphi.serve.text import printable
from tiny import longrope_config, tiny_config

ENTER, ALT_ENTER, CTRL_C, CTRL_D = "\r", "\x1b\r", "\x03", "\x04"
SAMPLING = SamplingOptions(temperature=1.0, seed=1)


class Tape(io.StringIO):
    """What the screen showed; `on_write` is called with all of it after every write."""

    def __init__(self) -> None:
        super().__init__()
        self.on_write: Callable[[str], None] = lambda _: None

    def write(self, text: str) -> int:
        count = super().write(text)
        self.on_write(self.getvalue())
        return count


@dataclass
class Sitting:
    """One run of the chat: its session, what the screen showed, and how it ended."""

    session: Session
    shown: str
    exit_code: int

    @property
    def asked(self) -> list[str]:
        return [message.content for message in self.session.messages if message.role == "user"]


@pytest.fixture
def sit(tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sitting]:
    """Hold a chat with the keys given, then Ctrl-D until it ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")

    def hold(
        *keys: str,
        model: Model = tiny_model,
        messages: tuple[Message, ...] = (),
        tape: Tape | None = None,
        max_tokens: int = 6,
    ) -> Sitting:
        tape = Tape() if tape is None else tape
        session = model.session(messages=messages, sampling=SAMPLING)
        with create_pipe_input() as keyboard:
            keyboard.send_text("".join(keys) + 3 * CTRL_D)
            code = chat(
                session,
                model_name="tiny",
                sampling=SAMPLING,
                max_tokens=max_tokens,
                history_file=tmp_path / "state" / "history",
                screen=Screen(tape, has_colour=False),
                terminal_input=keyboard,
                terminal_output=DummyOutput(),
            )
        return Sitting(session, tape.getvalue(), code)

    return hold


def talk(*questions: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    for question in questions:
        messages += [Message("user", question), Message("assistant", "ok")]
    return tuple(messages)


# --- typing -----------------------------------------------------------------------------------------------


def test_a_message_is_asked_and_its_answer_is_shown(sit):
    sitting = sit("hello", ENTER)
    assert sitting.asked == ["hello"]
    assert printable(sitting.session.messages[1].content) in sitting.shown
    assert "(cut after 6 tokens, the limit that `--max-tokens` sets)" in sitting.shown
    assert sitting.exit_code == 0


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        (("one", ALT_ENTER, "two", ENTER), ["one\ntwo"]),
        (('"""', ENTER, "one", ENTER, "", ENTER, 'two"""', ENTER), ["one\n\ntwo"]),
        (('"""all on one line"""', ENTER), ["all on one line"]),
        (("\x1b[200~pasted\rlines\x1b[201~", ENTER), ["pasted\nlines"]),
        (("   ", ENTER, ENTER, '""""""', ENTER), []),
        (("half", CTRL_C, "whole", ENTER), ["whole"]),
        (("/usr/bin is what?", ENTER), ["/usr/bin is what?"]),
        ((" /quit is a command", ENTER), ["/quit is a command"]),
    ],
)
def test_keys_make_messages(sit, keys, asked):
    assert sit(*keys).asked == asked


def test_what_was_typed_is_kept(sit, tmp_path):
    sit("remember me", ENTER)
    assert "+remember me\n" in (tmp_path / "state" / "history").read_text()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("  a \n", "a"),
        ('"""a"""', "a"),
        ('"""a', "a"),
        ("half \udce9", "half ?"),
        ('say """x"""', 'say """x"""'),
        ('"""', ""),
    ],
)
def test_clean_takes_what_was_meant(typed, meant):
    assert clean(typed) == meant


# --- leaving and stopping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ((), 0),
        (("/quit", ENTER), 0),
        (("/bye", ENTER), 0),
        ((CTRL_C, CTRL_C), 130),
        ((CTRL_C, "hi", ENTER, CTRL_C), 0),  # the second is the first again after something was asked
    ],
)
def test_ways_to_leave(sit, keys, code):
    assert sit(*keys).exit_code == code


def interrupted(times: int) -> Tape:
    """A tape on which Ctrl-C is pressed as soon as an answer begins to show, and again at the next write."""
    tape = Tape()
    left = times

    def press(shown: str) -> None:
        nonlocal left
        if left and shown.partition("or /help\n")[2]:
            left -= 1
            signal.raise_signal(signal.SIGINT)

    tape.on_write = press
    return tape


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(sit, open_tiny):
    model = open_tiny(tiny_config(max_position_embeddings=2048, original_max_position_embeddings=2048))
    sitting = sit("hello", ENTER, "again", ENTER, model=model, tape=interrupted(1), max_tokens=2000)
    before = signal.getsignal(signal.SIGINT)
    first, second = (len(message.content) for message in sitting.session.messages if message.role == "assistant")
    assert sitting.shown.count("(stopped)") == 1
    assert first < second
    assert sitting.exit_code == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_before_it_has_stopped_leaves(sit):
    sitting = sit("hello", ENTER, tape=interrupted(2), max_tokens=400)
    assert sitting.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- commands ---------------------------------------------------------------------------------------------


def test_undo_edit_and_clear_change_the_conversation(sit):
    assert sit("/undo", ENTER, messages=talk("one", "two")).asked == ["one"]
    assert sit("/edit", ENTER, "!", ENTER, messages=talk("one", "two")).asked == ["one", "two!"]
    assert sit("/edit other", ENTER, messages=talk("one", "two")).asked == ["one", "other"]
    assert sit("/edit", ENTER, CTRL_C, messages=talk("one", "two")).asked == ["one", "two"]
    assert sit("/clear", ENTER, messages=(Message("system", "be brief"), *talk("one"))).session.messages == (
        Message("system", "be brief"),
    )


def test_regenerate_writes_another_answer_to_the_same_question(sit):
    sitting = sit("hello", ENTER, "/regenerate", ENTER)
    assert sitting.asked == ["hello"]
    assert sitting.shown.count("cut after 6 tokens") == 2


def test_system_is_set_shown_and_removed(sit):
    sitting = sit("/system be brief", ENTER, "/system", ENTER, messages=talk("one"))
    assert sitting.session.messages[0] == Message("system", "be brief")
    assert "be brief\n" in sitting.shown
    assert sit("/system none", ENTER, messages=(Message("system", "x"), *talk("one"))).session.messages == talk("one")


def test_a_saved_conversation_is_loaded_with_its_settings(sit, tmp_path):
    saved = sit("/save talk.json", ENTER, messages=talk("one", "two"))
    assert "saved 4 messages to `talk.json`" in saved.shown
    assert json.loads((tmp_path / "talk.json").read_text())["settings"] == {"temperature": 1.0, "seed": 1}
    loaded = sit("/load talk.json", ENTER, "/stats", ENTER)
    assert loaded.session.messages == talk("one", "two")
    assert "temperature 1, seed 1" in loaded.shown


def test_nothing_is_replaced_in_silence(sit, tmp_path):
    (tmp_path / "talk.json").write_text("mine")
    (tmp_path / "talk.md").write_text("mine")
    for command in ("/save talk.json", "/export talk.md"):
        refused = sit(command, ENTER, "n", ENTER, messages=talk("one"))
        assert "(not written)" in refused.shown
    assert (tmp_path / "talk.json").read_text() == (tmp_path / "talk.md").read_text() == "mine"
    sit("/save talk.json", ENTER, "y", ENTER, messages=talk("one"))
    sit("/export talk.md", ENTER, "y", ENTER, messages=talk("one"))
    assert "## User\n\none" in (tmp_path / "talk.md").read_text()
    assert sit("/load talk.json", ENTER, "n", ENTER, messages=talk("two")).asked == ["two"]
    assert sit("/load talk.json", ENTER, "y", ENTER, messages=talk("two")).asked == ["one"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/regen", "unknown command `/regen`\nhint: did you mean `/regenerate`?"),
        ("/sav x", "did you mean `/save`?"),
        ("/xyzzy", "unknown command `/xyzzy`\nhint: `/help` lists the commands"),
        ("/save", "`/save` needs FILE"),
        ("/undo 3", "`/undo` takes nothing"),
        ("/undo", "there is nothing to undo"),
        ("/edit", "there is no message to edit"),
        ("/regenerate", "there is no answer to write again"),
        ("/load missing.json", "no such file: `missing.json`"),
        ("/load .", "no such file: `.`"),
        ("/save .", "`.` is a folder"),
        ("/save missing/talk.json", "cannot write `missing/talk.json`: no such file or directory"),
        ("/save ~nobody-at-all/x", "`~nobody-at-all/x`"),
    ],
)
def test_a_mistake_in_a_command_is_said_and_the_chat_goes_on(sit, line, message):
    sitting = sit(line, ENTER)
    assert f"error: {message}" in sitting.shown or message in sitting.shown
    assert sitting.exit_code == 0
    assert not sitting.asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temprature": 1}, "unknown setting `temprature`"),
        ({"temperature": -1}, "`temperature` is `-1`"),
        ({"seed": 0.5}, "`seed`"),
    ],
)
def test_a_saved_conversation_with_bad_settings_changes_nothing(sit, tmp_path, settings, message):
    content = {"format": "pocketphi conversation 1", "model": "tiny", "settings": settings, "messages": []}
    (tmp_path / "bad.json").write_text(json.dumps(content))
    sitting = sit("/load bad.json", ENTER, messages=talk("one"))
    assert message in sitting.shown
    assert sitting.asked == ["one"]


def test_help_lists_every_command_and_stats_the_state(sit):
    shown = sit("/help", ENTER, "hello", ENTER, "/stats", ENTER).shown
    for command in ("regenerate", "edit", "undo", "system", "save", "load", "export", "stats", "help", "quit", "clear"):
        assert f"  /{command}" in shown
    for line in ("model        tiny, template chatml", "of 512 tokens, 2 messages", "last answer  6 tokens", "memory"):
        assert line in shown


# --- a full context ---------------------------------------------------------------------------------------

LONG = "word " * 40  # about 200 tokens of the tiny tokenizer


def test_when_the_context_is_full_it_offers_what_to_drop(sit):
    sitting = sit(LONG, ENTER, "c", ENTER, messages=talk(LONG, LONG))
    assert "the context is full: with this message" in sitting.shown
    assert "d  drop the oldest exchange of 2" in sitting.shown
    assert "nothing was dropped" in sitting.shown
    assert sitting.session.messages == talk(LONG, LONG)


def test_dropping_makes_room_and_asks(sit):
    assert sit(LONG, ENTER, "d", ENTER, messages=talk(LONG, LONG)).asked == [LONG, LONG.strip()]
    system = (Message("system", "be brief"),)
    fresh = sit(LONG, ENTER, "n", ENTER, messages=(*system, *talk(LONG, LONG)))
    assert fresh.asked == [LONG.strip()]
    assert fresh.session.messages[0] == system[0]


def test_a_message_that_never_fits_says_so(sit):
    sitting = sit("x" * 600, ENTER, messages=talk("one"))
    assert "the message alone does not fit" in sitting.shown
    assert sitting.session.messages == talk("one")
    assert "does not fit" in sit("x" * 600, ENTER).shown


def test_an_answer_that_meets_the_end_of_the_context_says_so(sit):
    sitting = sit("hello", ENTER, max_tokens=100_000)
    assert "the answer is cut: the context of 512 tokens is full" in sitting.shown or "(cut after" not in sitting.shown


def test_an_edit_that_does_not_fit_keeps_what_was_there(sit):
    before = talk(LONG, "two")
    sitting = sit("/edit " + LONG * 2, ENTER, "c", ENTER, messages=before)
    assert sitting.session.messages == before


def test_an_edit_stopped_before_its_answer_keeps_what_was_there(sit, monkeypatch):
    def pressed(screen: Screen) -> ReadingProgress:
        signal.raise_signal(signal.SIGINT)
        return ReadingProgress(screen)

    monkeypatch.setattr("pocketphi.serve.talk.ReadingProgress", pressed)
    sitting = sit("/edit other", ENTER, messages=talk("one", "two"))
    assert "(stopped before the answer began: not asked)" in sitting.shown
    assert sitting.session.messages == talk("one", "two")


# --- what the screen may show -----------------------------------------------------------------------------


def test_escapes_in_an_answer_are_shown_not_obeyed(sit, tiny_model):
    tokens = {text: index for index, text in enumerate(tiny_model.tokenizer.decode([index]) for index in range(256))}
    always_escape = replace(SAMPLING, temperature=0.0, logit_bias={tokens["\x1b"]: 1e9})
    with tiny_model.session(sampling=always_escape) as session:
        tape = Tape()
        for piece in session.reply("hello", max_tokens=3):
            Screen(tape, has_colour=False).piece(piece)
    assert tape.getvalue() == "\\x1b" * 3


def test_what_the_model_writes_never_controls_the_terminal(sit):
    shown = sit(*("go on", ENTER) * 5, max_tokens=80).shown
    assert not [character for character in shown if character < " " and character != "\n" and character != "\t"]


@pytest.mark.parametrize("columns", [0, 1, 5, 10, 20, 40, 80, 200])
def test_the_status_line_fits_any_width(tiny_model, columns):
    from pocketphi.serve.talk import Talk

    talk_now = Talk(
        session=tiny_model.session(),
        model_name="tiny",
        sampling=SAMPLING,
        max_tokens=None,
        screen=Screen(Tape(), has_colour=False),
        ask=str,
        edit=str,
    )
    list(talk_now.session.reply("hi", max_tokens=3))
    line = status(talk_now, columns)
    assert len(line) <= columns
    if columns >= 80:
        assert "of 512 tokens" in line
        assert "tokens/s" in line


def test_a_dumb_terminal_gets_the_same_chat(sit, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    sitting = sit("hello", ENTER, '"""', ENTER, "two", ENTER, '"""', ENTER)
    assert sitting.asked == ["hello", "two"]
    assert "[tiny · 0 of 512 tokens · /help]" in sitting.shown


def test_reading_again_beyond_the_border_shows_and_does_not_spoil_the_answer(monkeypatch, open_tiny):
    monkeypatch.setattr("pocketphi.serve.screen.PROGRESS_AFTER_SECONDS", 0.0)
    model = open_tiny(longrope_config(border=48), load={"max_batch_tokens": 16})
    tape = Tape()
    screen = Screen(tape, has_colour=False)
    endless = replace(SAMPLING, logit_bias=dict.fromkeys(model.stop_ids(), -1e9))
    with model.session(sampling=endless) as session:
        for piece in session.reply("hello", max_tokens=60, progress=ReadingProgress(screen)):
            screen.piece(piece)
        answer = printable(session.messages[-1].content)
    (break_at,) = re.finditer(r"\nreading: 16 of 49 tokens.*?\r *\r", tape.getvalue())
    first_line = tape.getvalue()[: break_at.start()].rpartition("\r")[2]
    assert first_line + tape.getvalue()[break_at.end() :] == answer
