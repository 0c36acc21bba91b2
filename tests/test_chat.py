"""Templates: the published forms, character by character, and clear words where one does not fit."""

import itertools
import json
import random

import jinja2
import jinja2.sandbox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.chat import (
    SMOLLM2_SYSTEM,
    TEMPLATES,
    Message,
    Special,
    match_template,
    render,
    render_open,
    template_by_name,
    template_digest,
)
from pocketphi.errors import UserError
from published_templates import LLAMA2, PUBLISHED

CONTENTS = [
    "Hi",
    "",
    " ",
    "  padded\n",
    "two\n\nlines",
    "<|end|>",
    "{{ 7 * 7 }}",
    "{% for %}",
    "'\"\\n",
    "안녕 😀",
    "[INST]",
]
EOS = {"phi-3": "<|endoftext|>", "phi-3.5": "<|endoftext|>", "llama-2": "</s>"}


def conversations() -> list[list[Message]]:
    generator = random.Random(0)
    shapes = [
        ["system"] * has_system + ["user", "assistant"] * pairs + ["user"] * asks
        for has_system, pairs, asks in itertools.product([0, 1], [0, 1, 3], [0, 1])
        if pairs or asks
    ]
    return [[Message(role, generator.choice(CONTENTS)) for role in shape] for shape in shapes for _ in range(6)]


def text_of(messages: list[Message], name: str, *, add_generation_prompt: bool) -> str:
    segments = render(TEMPLATES[name], messages, add_generation_prompt=add_generation_prompt)
    return "".join(part.name if isinstance(part, Special) else part for part in segments)


def refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


@pytest.mark.parametrize(("name", "original"), [(name, text) for name, texts in PUBLISHED.items() for text in texts])
@pytest.mark.parametrize("add_generation_prompt", [True, False])
def test_built_ins_write_what_the_originals_write(name: str, original: str, add_generation_prompt: bool):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(original)
    for messages in conversations():
        if name == "phi-3-april" and messages[0].role == "system":
            continue  # dropped there, an error here
        if name == "llama-2" and messages[-1].role == "system":
            continue
        assert text_of(messages, name, add_generation_prompt=add_generation_prompt) == template.render(
            messages=[vars(message) for message in messages],
            add_generation_prompt=add_generation_prompt,
            bos_token="<s>",
            eos_token=EOS.get(name),
        )


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_begun_answer_is_a_whole_one_up_to_the_end_of_its_text(name: str):
    for messages in conversations():
        if messages[-1].role != "assistant" or (name == "phi-3-april" and messages[0].role == "system"):
            continue
        *before, answer = messages
        segments = render_open(TEMPLATES[name], [*before, Message("assistant", answer.content + "word")])
        begun = "".join(part.name if isinstance(part, Special) else part for part in segments)
        rest = Message("assistant", answer.content + "word and more")
        assert begun.endswith("word")
        assert text_of([*before, rest], name, add_generation_prompt=False).startswith(begun + " and more")


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_not_begun_is_opened(name: str):
    asked = [Message("user", "what?")]
    assert render_open(TEMPLATES[name], asked) == render(TEMPLATES[name], asked)
    assert render_open(TEMPLATES[name], [*asked, Message("assistant", "")]) == render(TEMPLATES[name], asked)
    with pytest.raises(UserError, match="no messages"):
        render_open(TEMPLATES[name], [Message("assistant", "I")])


@pytest.mark.parametrize(("name", "original"), [(name, text) for name, texts in PUBLISHED.items() for text in texts])
def test_published_templates_are_recognised_in_every_spelling(name: str, original: str):
    for text in (original, original.replace("\n", "\\n"), original.replace("\n", "\r\n"), f"\n {original}\n"):
        assert match_template(template_text=text).name == name


@pytest.mark.parametrize(
    "text",
    ["", "{{ messages }}", LLAMA2 + "x", "{% for x in range(10**9) %}{% endfor %}", "{{ ''.__class__ }}", "a" * 10**7],
)
def test_an_unknown_template_is_refused_unread(text: str):
    with pytest.raises(UserError, match=r"sha256 [0-9a-f]{12}.* not one that pocketphi knows") as error:
        match_template(template_text=text)
    assert "--template" in str(error.value.hint)
    assert all(name in str(error.value.hint) for name in TEMPLATES)


def test_a_name_wins_over_the_file():
    assert match_template(name="chatml", template_text="whatever").name == "chatml"


def test_no_template_at_all_asks_for_one():
    with pytest.raises(UserError, match="names no chat template") as error:
        match_template()
    assert "--template" in str(error.value.hint)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UserError, match="`phi3` is unknown") as error:
        template_by_name("phi3")
    assert "phi-3.5" in str(error.value.hint)


def test_a_template_needs_its_control_tokens():
    assert match_template(name="chatml", special_tokens=["<|im_start|>", "<|im_end|>"]).name == "chatml"
    with pytest.raises(UserError, match=r"`phi-3` needs the control token `<\|user\|>`"):
        match_template(name="phi-3", special_tokens=["<s>", "</s>"])


@given(st.sampled_from(sorted(TEMPLATES)), st.text(st.sampled_from("<|>endimstartuser_ /s[INST]\n"), max_size=40))
def test_content_never_becomes_a_control_token(name: str, content: str):
    harmless = render(TEMPLATES[name], [Message("user", "x")])
    hostile = render(TEMPLATES[name], [Message("user", content)])
    assert [part for part in hostile if isinstance(part, Special)] == [
        part for part in harmless if isinstance(part, Special)
    ]


def test_smollm2_is_told_who_it_is_unless_the_user_says_otherwise():
    assert SMOLLM2_SYSTEM in text_of([Message("user", "hi")], "smollm2", add_generation_prompt=True)
    own = [Message("system", ""), Message("user", "hi")]
    assert SMOLLM2_SYSTEM not in text_of(own, "smollm2", add_generation_prompt=True)


def test_phi35_skips_an_empty_system_message():
    messages = [Message("system", ""), Message("user", "hi")]
    assert "<|system|>" not in text_of(messages, "phi-3.5", add_generation_prompt=True)
    assert "<|system|>" in text_of(messages, "phi-3", add_generation_prompt=True)


def test_a_system_message_is_never_dropped_in_silence():
    with pytest.raises(UserError, match="`phi-3-april` has no place for a system message") as error:
        render(TEMPLATES["phi-3-april"], [Message("system", "Be brief."), Message("user", "hi")])
    assert "first user message" in str(error.value.hint)


@pytest.mark.parametrize(
    "roles", [["assistant"], ["user", "user"], ["system", "assistant"], ["user", "system"], ["system"]]
)
def test_llama2_needs_turns_in_order(roles: list[str]):
    with pytest.raises(UserError, match="`llama-2`"):
        render(TEMPLATES["llama-2"], [Message(role, "x") for role in roles])


def test_an_empty_conversation_is_refused():
    with pytest.raises(UserError, match="no messages"):
        render(TEMPLATES["phi-3"], [])


def test_messages_are_checked():
    with pytest.raises(UserError, match="role `tool` is unknown"):
        Message("tool", "x")
    with pytest.raises(UserError, match="content of the user message is list, not text"):
        Message("user", ["x"])


def test_digests_hold_for_any_text():
    assert template_digest("\ud800") == template_digest("?")


def test_each_answer_can_end():
    for template in TEMPLATES.values():
        opened = render(template, [Message("user", "q"), Message("assistant", "a"), Message("user", "q")])
        closing = {part.name for part in opened if isinstance(part, Special)}
        assert closing & set(template.turn_end), json.dumps(sorted(closing))
