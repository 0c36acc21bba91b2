"""The chat's commands: a slash, a word, and what follows it on the line.

A command says what it did on one line. None throws away what was not saved without asking, and none
replaces a file without asking. Only a slash and letters alone make a command: `/usr/bin` is a message.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from pocketphi.errors import UserError
from pocketphi.hub.disk import human_size
from pocketphi.runtime.machine import resident_memory
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.serve import transcript
from pocketphi.serve.talk import Talk

_COMMAND = re.compile(r"/([A-Za-z?]*)(?:\s+(.*))?", re.DOTALL)


class Quit(Exception):
    """The person wants to leave."""


@dataclass(frozen=True)
class Command:
    """One command of the chat."""

    name: str
    argument: str
    """What it takes, for `/help`; "" for nothing, in brackets if it may be left out."""
    about: str
    run: Callable[[Talk, str], None]


def is_command(line: str) -> bool:
    return _COMMAND.fullmatch(line) is not None


def run_command(talk: Talk, line: str) -> None:
    """Do what `line` orders.

    Raises:
        UserError: there is no such command, or it cannot be done; nothing has changed then.
        Quit: the order was to leave.
    """
    match = _COMMAND.fullmatch(line)
    assert match is not None
    name, argument = match[1].lower(), (match[2] or "").strip()
    command = COMMANDS.get(_ALIASES.get(name, name))
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
        hint = f"did you mean `/{near[0]}`?" if near else "`/help` lists the commands"
        raise UserError(f"unknown command `/{name}`", hint=f"{hint} (a space in front makes it a message)")
    if argument and not command.argument:
        raise UserError(f"`/{command.name}` takes nothing", hint=f"type `/{command.name}` alone")
    if not argument and command.argument and not command.argument.startswith("["):
        raise UserError(
            f"`/{command.name}` needs {command.argument}", hint=f"such as `/{command.name} {_EXAMPLES[name]}`"
        )
    command.run(talk, argument)


_EXAMPLES = {"save": "talk.json", "load": "talk.json", "export": "talk.md"}


def _regenerate(talk: Talk, _: str) -> None:
    if talk.sampling.temperature == 0:
        talk.screen.notice("(the temperature is 0, so the answer can only be the same)")
    talk.regenerate()


def _edit(talk: Talk, text: str) -> None:
    before = talk.session.messages
    asked = [message.content for message in before if message.role == "user"]
    if not asked:
        raise UserError("there is no message to edit", hint="ask something first")
    try:
        changed = text or talk.edit(asked[-1]).strip()
    except (EOFError, KeyboardInterrupt):
        changed = ""
    if not changed:
        talk.screen.notice("(not edited)")
        return
    talk.session.undo()
    is_asked = False
    try:
        is_asked = talk.say(changed)
    finally:
        if not is_asked:
            talk.session.reset(before)


def _undo(talk: Talk, _: str) -> None:
    asked = [message.content for message in talk.session.messages if message.role == "user"]
    talk.session.undo()
    talk.screen.notice(f"forgot `{_short(asked[-1])}` and its answer")


def _system(talk: Talk, text: str) -> None:
    if text:
        wanted = None if text == "none" else text
        talk.session.set_system(wanted)
        talk.screen.notice(
            "no system message"
            if wanted is None
            else "the system message is set, from the start of the conversation on"
        )
        return
    current = [message.content for message in talk.session.messages if message.role == "system"]
    talk.screen.line(current[0] if current else "no system message; `/system TEXT` sets one, `/system none` removes it")


def _clear(talk: Talk, _: str) -> None:
    turns = sum(message.role == "user" for message in talk.session.messages)
    talk.session.drop_oldest(turns)
    talk.screen.notice("a new conversation")


def _save(talk: Talk, name: str) -> None:
    path = _path(name)
    current = transcript.Transcript(
        model=talk.model_name, messages=talk.session.messages, settings=_changed(talk.sampling)
    )
    if _may_write(talk, path):
        transcript.save(current, path, replace=True)
        talk.saved = talk.session.messages
        talk.screen.notice(f"saved {len(current.messages)} messages to `{path}`")


def _load(talk: Talk, name: str) -> None:
    loaded = transcript.load(_path(name))
    sampling = _sampling(loaded.settings, name)
    current = talk.session.messages
    is_unsaved = any(message.role == "user" for message in current) and current != talk.saved
    if is_unsaved and not talk.ask_yes("the conversation is not saved; replace it?"):
        talk.screen.notice("(not loaded)")
        return
    talk.session.reset(loaded.messages)
    talk.saved, talk.sampling = talk.session.messages, sampling
    talk.screen.notice(f"loaded {len(loaded.messages)} messages and the sampling settings from `{name}`")
    if loaded.model != talk.model_name:
        talk.screen.notice(f"(they were written with `{loaded.model}`; this is `{talk.model_name}`)")


def _export(talk: Talk, name: str) -> None:
    path = _path(name)
    if _may_write(talk, path):
        text = transcript.markdown(talk.model_name, talk.session.messages)
        transcript.write_whole(path, text, replace=True)
        talk.screen.notice(f"wrote `{path}`")


def _stats(talk: Talk, _: str) -> None:
    session, stats = talk.session, talk.session.stats
    show = talk.screen.line
    show(f"model        {talk.model_name}, template {session.template.name}")
    show(f"context      {session.context_used:,} of {session.context_size:,} tokens, {len(session.messages)} messages")
    if stats is not None:
        computed = stats.prompt_tokens - stats.cached_tokens
        show(f"last prompt  {stats.prompt_tokens:,} tokens, {computed:,} of them new, {stats.prefill_seconds:.2f} s")
        show(
            f"last answer  {stats.new_tokens:,} tokens, {stats.decode_seconds:.2f} s, "
            f"{stats.decode_tokens_per_second:.1f} tokens/s, ended by {stats.stop_reason}"
        )
    show("sampling     " + ", ".join(f"{name} {value:g}" for name, value in _changed(talk.sampling).items()))
    memory = resident_memory()
    if memory is not None:
        show(f"memory       {human_size(memory)} at most so far")


def _help(talk: Talk, _: str) -> None:
    for command in COMMANDS.values():
        talk.screen.line(f"  {f'/{command.name} {command.argument}':20}{command.about}")
    talk.screen.line()
    talk.screen.line('  Enter sends; Alt-Enter (or Esc, Enter) starts a new line; so does Enter between """ and """')
    talk.screen.line("  Ctrl-C stops an answer; Ctrl-C twice or Ctrl-D at the empty prompt leaves")


def _quit(_talk: Talk, _: str) -> None:
    raise Quit


def _path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise UserError(f"`{name}`: there is no such home directory", hint="give a full path") from error


def _may_write(talk: Talk, path: Path) -> bool:
    if path.exists() and not path.is_file():
        raise UserError(f"`{path}` is {'a folder' if path.is_dir() else 'not a file'}", hint="give a file name")
    if not (path.exists() or path.is_symlink()):
        return True
    allowed = talk.ask_yes(f"`{path}` exists; replace it?")
    if not allowed:
        talk.screen.notice("(not written)")
    return allowed


def _sampling(settings: Mapping[str, float | int], name: str) -> SamplingOptions:
    """The sampling options that the file `name` holds; the values are checked as options always are."""
    defaults = {option.name: option.default for option in fields(SamplingOptions) if option.name != "logit_bias"}
    for key, value in settings.items():
        if key not in defaults:
            raise UserError(f"`{name}` has an unknown setting `{key}`", hint=f"settings are {', '.join(defaults)}")
        if isinstance(defaults[key], int) and not isinstance(value, int):
            raise UserError(f"`{name}`: setting `{key}` is `{value}`", hint="it takes a whole number")
    return replace(SamplingOptions(), **settings)  # type: ignore[arg-type]  # names and types are checked above


def _changed(sampling: SamplingOptions) -> dict[str, float | int]:
    """The settings that differ from the defaults, and always the two that an answer hangs on."""
    default = asdict(SamplingOptions())
    current = {name: value for name, value in asdict(sampling).items() if name != "logit_bias"}
    return {name: value for name, value in current.items() if value != default[name] or name in {"temperature", "seed"}}


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else flat[:59] + "…"


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("regenerate", "", "write the last answer again", _regenerate),
        Command("edit", "[TEXT]", "change the last message and ask it again", _edit),
        Command("undo", "", "forget the last message and its answer", _undo),
        Command("clear", "", "start a new conversation; the system message stays", _clear),
        Command("system", "[TEXT]", "show or set the system message; `none` removes it", _system),
        Command("save", "FILE", "write the conversation as JSON", _save),
        Command("load", "FILE", "go on with a saved conversation", _load),
        Command("export", "FILE", "write the conversation as Markdown", _export),
        Command("stats", "", "context, speed, settings, memory", _stats),
        Command("help", "", "this list", _help),
        Command("quit", "", "leave", _quit),
    )
}

_ALIASES = {"retry": "regenerate", "bye": "quit", "exit": "quit", "q": "quit", "?": "help", "": "help", "new": "clear"}
