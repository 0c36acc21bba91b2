"""The chat at a terminal: reads lines with prompt-toolkit, runs commands, shows answers.

Enter sends, Alt-Enter adds a line, and so does Enter while a `\"\"\"` is open. Pasted text keeps its lines.
The line at the bottom shows the model, how much of the context is used, and the speed of the last answer.
"""

import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.utils import is_dumb_terminal

from pocketphi.errors import UserError
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.session import Session
from pocketphi.serve.commands import COMMANDS, Quit, is_command, run_command
from pocketphi.serve.history import open_history
from pocketphi.serve.screen import Screen
from pocketphi.serve.talk import Talk

QUOTE = '"""'
INTERRUPTED = 130
"""Exit code after two Ctrl-C."""


def chat(
    session: Session,
    *,
    model_name: str,
    sampling: SamplingOptions,
    max_tokens: int | None,
    history_file: Path,
    screen: Screen,
    terminal_input: Input | None = None,
    terminal_output: Output | None = None,
) -> int:
    """Hold a conversation until the person leaves.

    Args:
        terminal_input, terminal_output: prompt-toolkit's; by default the process's own terminal.

    Returns:
        The exit code: 0, or 130 after Ctrl-C twice.
    """
    line: PromptSession[str] = PromptSession(
        history=open_history(history_file, screen.notice),
        multiline=True,
        key_bindings=_bindings(clears_line=True),
        completer=WordCompleter([f"/{name}" for name in COMMANDS], sentence=True),
        complete_while_typing=False,
        enable_suspend=True,
        input=terminal_input,
        output=terminal_output,
    )
    question: PromptSession[str] = PromptSession(input=terminal_input, output=terminal_output)
    editor: PromptSession[str] = PromptSession(
        multiline=True, key_bindings=_bindings(), input=terminal_input, output=terminal_output
    )
    talk = Talk(
        session=session,
        model_name=model_name,
        sampling=sampling,
        max_tokens=max_tokens,
        screen=screen,
        ask=question.prompt,
        edit=lambda text: clean(editor.prompt("edit> ", default=text)),
    )
    screen.notice("type a message, or /help")
    with _keys_kept(line.input):
        return _turns(talk, line)


def _turns(talk: Talk, line: PromptSession[str]) -> int:
    """Prompt after prompt; the exit code once the person leaves."""
    is_dumb, screen = is_dumb_terminal(), talk.screen
    presses = 0
    while True:
        if is_dumb:  # no line at the bottom there
            screen.notice(f"[{status(talk, 80)}]")
        try:
            text = line.prompt("> ", bottom_toolbar=lambda: " " + status(talk, get_app().output.get_size().columns - 1))
        except EOFError:
            return 0
        except KeyboardInterrupt:
            presses += 1
            if presses > 1:
                return INTERRUPTED
            screen.notice("(Ctrl-C again or Ctrl-D leaves)")
            continue
        presses = 0
        try:
            _turn(talk, text)
        except Quit:
            return 0
        except KeyboardInterrupt:  # the second one, before an answer had stopped
            return INTERRUPTED


def _turn(talk: Talk, text: str) -> None:
    """Do what one line asks. What a person can fix is said, and the chat goes on."""
    message = clean(text)
    try:
        if text.startswith("/") and is_command(message):
            run_command(talk, message)
        elif message:
            talk.say(message)
    except UserError as error:
        talk.screen.notice(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))


@contextmanager
def _keys_kept(keyboard: Input) -> Iterator[None]:
    """Between prompts, keep keys for the next one instead of echoing them into an answer. Ctrl-C still interrupts."""
    try:
        before = termios.tcgetattr(keyboard.fileno())
    except termios.error:  # not a terminal
        yield
        return
    quiet = termios.tcgetattr(keyboard.fileno())
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(keyboard.fileno(), termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard.fileno(), termios.TCSADRAIN, before)


def clean(text: str) -> str:
    """What was typed, without broken characters, outer space and the quotes of a longer text."""
    text = text.encode("utf-8", "replace").decode().strip()
    if text.startswith(QUOTE):
        text = text.removeprefix(QUOTE).removesuffix(QUOTE).strip()
    return text


def status(talk: Talk, columns: int) -> str:
    """The longest description of the state that fits in `columns`."""
    session, stats = talk.session, talk.session.stats
    used = f"{session.context_used:,} of {session.context_size:,} tokens"
    speed = f"{stats.decode_tokens_per_second:.0f} tokens/s" if stats and stats.decode_tokens_per_second else ""
    short = f"{session.context_used}/{session.context_size}"
    choices = ([talk.model_name, used, speed, "/help"], [talk.model_name, used, speed], [used, speed], [used], [short])
    lines = (" · ".join(part for part in choice if part) for choice in choices)
    return next((line for line in lines if len(line) <= columns), "")


def _bindings(*, clears_line: bool = False) -> KeyBindings:
    """Enter and Alt-Enter; with `clears_line`, Ctrl-C empties the line before it counts as leaving."""
    bindings = KeyBindings()

    @bindings.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        text = event.current_buffer.text.strip()
        is_open = text.startswith(QUOTE) and (len(text) < 2 * len(QUOTE) or not text.endswith(QUOTE))
        if is_open:
            event.current_buffer.insert_text("\n")
        else:
            event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter", filter=has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-c", filter=Condition(lambda: clears_line and bool(get_app().current_buffer.text)))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    return bindings
