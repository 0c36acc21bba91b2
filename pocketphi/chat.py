"""Conversations, and the built-in templates that write them as a model was taught to read them.

A template turns messages into segments: plain `str` for text, `Special` for the control tokens
that only a template may name. The tokenizer encodes the text apart from the control tokens, so
nothing a user types can close a turn or open a system message. (Llama-2 marks its turns with
ordinary text, `[INST]` and `<<SYS>>`; that part of it a user can imitate in any runtime.)

Model files carry their template as a Jinja program. Here such a program is data: it is hashed and
compared with the published ones, and never evaluated. An unknown one needs `--template`.

Sources of the forms: `tokenizer_config.json` of the Phi-3, SmolLM2 and Llama-2 chat models; tests
render those originals with Jinja and compare.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pocketphi.errors import UserError

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise UserError(f"message role `{self.role}` is unknown", hint=f"roles are {', '.join(get_args(Role))}")
        if not isinstance(self.content, str):
            raise UserError(f"content of the {self.role} message is {type(self.content).__name__}, not text")


@dataclass(frozen=True)
class Conversation:
    """Messages in order, to learn from or to go on with."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Preference:
    """Two answers to one prompt, the better one first."""

    prompt: tuple[Message, ...]
    chosen: Message
    rejected: Message


@dataclass(frozen=True)
class Special:
    """A control token by its text, such as `<|end|>`. Never made from what a user wrote."""

    name: str


Segment = str | Special


@dataclass(frozen=True)
class ChatTemplate:
    """How one family of models writes a conversation."""

    name: str
    turn_end: tuple[str, ...]
    """Control tokens that end an answer. Generation stops at each of them that the vocabulary has."""
    write: Callable[[Sequence[Message], bool], list[Segment]]
    """(messages, add_generation_prompt) to segments; call `render` instead."""
    before_answer: str = ""
    """What stands between the opening of an assistant turn and its text, for which the text loses its own space."""


def render(template: ChatTemplate, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> list[Segment]:
    """Write messages as segments for `Tokenizer.encode_segments`.

    Args:
        messages: at least one.
        add_generation_prompt: end with the opening of an assistant turn; without it the
            conversation is closed where the family has a mark for that.

    Raises:
        UserError: the family cannot express these messages. Nothing is ever left out in silence.
    """
    if not messages:
        raise UserError("the conversation has no messages", hint="give at least one user message")
    return template.write(messages, add_generation_prompt)


def render_open(template: ChatTemplate, messages: Sequence[Message]) -> list[Segment]:
    """Write messages so that the assistant goes on: in a new turn, or within the last message if that is its own.

    A begun turn is written as `render` writes a whole one, up to the end of its text.

    Raises:
        UserError: as `render`; a begun turn needs a message before it.
    """
    if not messages or messages[-1].role != "assistant":
        return render(template, messages)
    text = messages[-1].content
    if template.before_answer:
        text = text.lstrip()
    opening = render(template, messages[:-1])
    return [*opening, template.before_answer + text] if text else opening


def template_by_name(name: str) -> ChatTemplate:
    """The built-in template called `name`."""
    if name not in TEMPLATES:
        raise UserError(f"chat template `{name}` is unknown", hint=f"--template takes {', '.join(TEMPLATES)}")
    return TEMPLATES[name]


def match_template(
    *, name: str | None = None, template_text: str | None = None, special_tokens: Collection[str] | None = None
) -> ChatTemplate:
    """Choose the built-in template for a model.

    Args:
        name: the choice of a person or a catalogue; wins over the file.
        template_text: the model file's own template: compared by hash, never evaluated.
        special_tokens: control tokens of the vocabulary; when given, those the template opens
            turns with must be among them.

    Raises:
        UserError: nothing matches; the hint names `--template` and the choices.
    """
    if name is not None:
        template = template_by_name(name)
    else:
        choices = f"choose one with --template: {', '.join(TEMPLATES)}"
        if template_text is None:
            raise UserError("the model names no chat template", hint=choices)
        digest = template_digest(template_text)
        if digest not in _PUBLISHED:
            raise UserError(
                f"the model's chat template (sha256 {digest[:12]}...) is not one that pocketphi knows; "
                "templates in files are never run",
                hint=choices,
            )
        template = TEMPLATES[_PUBLISHED[digest]]
    if special_tokens is not None:
        sample = render(template, [Message("user", "")])
        missing = [s.name for s in sample if isinstance(s, Special) and s.name not in special_tokens]
        if missing:
            raise UserError(
                f"chat template `{template.name}` needs the control token `{missing[0]}`, "
                "which the model's vocabulary lacks",
                hint=f"choose another with --template: {', '.join(TEMPLATES)}",
            )
    return template


def template_digest(template_text: str) -> str:
    """SHA-256 of a template, the same for the spellings that mean the same.

    Files differ in outer whitespace, in line ends, and in whether a line end inside a Jinja string
    is a real one or the two characters backslash and n.
    """
    text = template_text.replace("\r\n", "\n").replace("\\n", "\n").strip()
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()


def _phi3(messages: Sequence[Message], add_generation_prompt: bool) -> list[Segment]:
    # The line ends after control tokens are part of the published form; Phi-3's vocabulary swallows them.
    segments: list[Segment] = []
    for message in messages:
        segments += [Special(f"<|{message.role}|>"), f"\n{message.content}", Special("<|end|>"), "\n"]
    if add_generation_prompt:
        return [*segments, Special("<|assistant|>"), "\n"]
    return [*segments, Special("<|endoftext|>")]


def _phi35(messages: Sequence[Message], add_generation_prompt: bool) -> list[Segment]:
    return _phi3([m for m in messages if m.role != "system" or m.content], add_generation_prompt)


def _phi3_april(messages: Sequence[Message], _add_generation_prompt: bool) -> list[Segment]:
    # The published form drops system messages in silence and opens the answer after every user
    # message, whether asked to or not. We refuse the first and keep the second.
    segments: list[Segment] = [Special("<s>")]
    for message in messages:
        if message.role == "system":
            raise UserError(
                "chat template `phi-3-april` has no place for a system message",
                hint="put it in front of the first user message, or use --template phi-3",
            )
        if message.role == "user":
            segments += [Special("<|user|>"), f"\n{message.content}", Special("<|end|>"), "\n"]
            segments += [Special("<|assistant|>"), "\n"]
        else:
            segments += [message.content, Special("<|end|>"), "\n"]
    return segments


def _chatml(messages: Sequence[Message], add_generation_prompt: bool) -> list[Segment]:
    segments: list[Segment] = []
    for message in messages:
        segments += [Special("<|im_start|>"), f"{message.role}\n{message.content}", Special("<|im_end|>"), "\n"]
    if add_generation_prompt:
        segments += [Special("<|im_start|>"), "assistant\n"]
    return segments


SMOLLM2_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""What SmolLM2 is told where a conversation brings no system message of its own."""


def _smollm2(messages: Sequence[Message], add_generation_prompt: bool) -> list[Segment]:
    if messages[0].role != "system":
        messages = [Message("system", SMOLLM2_SYSTEM), *messages]
    return _chatml(messages, add_generation_prompt)


def _llama2(messages: Sequence[Message], add_generation_prompt: bool) -> list[Segment]:
    system = messages[0].content if messages[0].role == "system" else None
    turns = messages if system is None else messages[1:]
    if add_generation_prompt and not turns:
        raise UserError(
            "chat template `llama-2` writes the system message into the first question, and there is none",
            hint="add a user message",
        )
    segments: list[Segment] = []
    for index, message in enumerate(turns):
        if message.role != ("user", "assistant")[index % 2]:
            raise UserError(
                f"chat template `llama-2` needs user and assistant in turn, but turn {index + 1} "
                f"is from the {message.role}",
                hint="start with an optional system message, then alternate",
            )
        if message.role == "user":
            content = message.content
            if index == 0 and system is not None:
                content = f"<<SYS>>\n{system}\n<</SYS>>\n\n{content}"
            segments += [Special("<s>"), f"[INST] {content.strip()} [/INST]"]
        else:
            segments += [f" {message.content.strip()} ", Special("</s>")]
    return segments


_PHI3_END = ("<|end|>", "<|endoftext|>", "<|assistant|>")
_CHATML_END = ("<|im_end|>", "<|endoftext|>")

TEMPLATES: dict[str, ChatTemplate] = {
    template.name: template
    for template in (
        ChatTemplate("phi-3", _PHI3_END, _phi3),
        ChatTemplate("phi-3.5", _PHI3_END, _phi35),
        ChatTemplate("phi-3-april", _PHI3_END, _phi3_april),
        ChatTemplate("chatml", _CHATML_END, _chatml),
        ChatTemplate("smollm2", _CHATML_END, _smollm2),
        ChatTemplate("llama-2", ("</s>",), _llama2, before_answer=" "),
    )
}
"""Built-in templates by name: `phi-3` (mini and medium since June 2024), `phi-3.5` (skips an empty
system message), `phi-3-april` (the first mini: no system message), `chatml`, `smollm2` (ChatML with
a default system message), `llama-2`."""

_PUBLISHED: dict[str, str] = {
    "dcaee66df77bfbb789ec541fe713218da30225a526f1db97138fc39ee6dc56aa": "phi-3",
    "78d976a442bcde2f0be15aafbb8e3050e1104f86732266f68403251b89982a90": "phi-3.5",
    "268b6082ceb7176dc6ed80557a2f7837f9f0339592fbee677d405a553af15f88": "phi-3-april",
    "153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3": "chatml",
    "58c1a1f04baa7adaeaba1f90267c3d57d9396f0c1f0129bdde9e76d3c6784af7": "chatml",
    "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788": "smollm2",
    "9780fae5bfea3cfd7be37d328c6edfd296a8869be8131495bbe7eb37e780c88c": "llama-2",
}
"""Digests of published Jinja templates (`template_digest`) to the built-in that writes the same."""
