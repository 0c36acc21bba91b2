"""The known rules that cut text into words before byte-level merging.

A rule is a list of steps from a model's training, written as `tokenizer.json` writes them. The steps
in a model file are never run: they are compared with this table, and the table's own are used.
"""

from typing import Any

from tokenizers import Regex, pre_tokenizers

Step = dict[str, Any]

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _split(pattern: str) -> Step:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _byte_level(*, use_regex: bool) -> Step:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


SPLITS: dict[str, list[Step]] = {
    "gpt-2": [_byte_level(use_regex=True)],  # the library's built-in expression is GPT-2's
    "smollm": [{"type": "Digits", "individual_digits": True}, _byte_level(use_regex=True)],
    "llama-bpe": [_split(_WORD + r"\p{N}{1,3}" + _REST), _byte_level(use_regex=False)],
    "qwen2": [_split(_WORD + r"\p{N}" + _REST), _byte_level(use_regex=False)],
    "default": [
        *(_split(p) for p in (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")),
        _byte_level(use_regex=False),
    ],
}
"""Steps by rule, applied in turn: each cuts its matches out of the pieces so far."""

GGUF_SPLITS: dict[str, str] = {
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo"), "gpt-2"),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"), "smollm"),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe"), "llama-bpe"),
    **dict.fromkeys(("qwen2", "stablelm2"), "qwen2"),
    "default": "default",
}
"""Rule for each known value of GGUF's `tokenizer.ggml.pre`."""

GGUF_WHOLE_WORDS = frozenset({"llama-bpe", "llama3", "llama-v3", "falcon3"})
"""Those values whose models take a word that is a token as it is, whatever the merges say."""


def splitter(rule: str) -> pre_tokenizers.PreTokenizer:
    """A rule for the `tokenizers` library; its last step maps bytes to their stand-in characters."""
    return pre_tokenizers.Sequence([_build(step) for step in SPLITS[rule]])


def _build(step: Step) -> pre_tokenizers.PreTokenizer:
    match step["type"]:
        case "Split":
            return pre_tokenizers.Split(Regex(step["pattern"]["Regex"]), behavior="isolated")
        case "Digits":
            return pre_tokenizers.Digits(individual_digits=True)
        case _:
            return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=step["use_regex"])


def rule_of(steps: list[Step]) -> str | None:
    """The rule that a file's steps stand for, or None.

    Only what changes the words is compared: `trim_offsets` does not, `use_regex` is true if absent.
    """
    plain = [_essence(step) for step in steps]
    return next((rule for rule, known in SPLITS.items() if [_essence(step) for step in known] == plain), None)


def _essence(step: Step) -> Step:
    essence = {key: value for key, value in step.items() if key != "trim_offsets"}
    return {"use_regex": True, **essence} if step.get("type") == "ByteLevel" else essence
