"""The vocabulary inside a GGUF file: the `tokenizer.ggml.*` metadata.

Two models of tokenizer are read. `gpt2` is byte-level: tokens, merges and the name of a word rule.
`llama` is SentencePiece: tokens and scores; the merges follow from them, since SentencePiece joins
whichever neighbours make the token with the highest score.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from pocketphi.errors import UserError
from pocketphi.tokenizer.splitting import GGUF_SPLITS, GGUF_WHOLE_WORDS
from pocketphi.tokenizer.vocabulary import MAX_MERGES, MAX_TOKENS, SpecialToken, Vocabulary, is_control

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)

_PHI3_PLAIN = frozenset({"<unk>", "<s>", "<|endoftext|>"})
"""Special tokens of Phi-3 that do not swallow the whitespace after them. GGUF has no field for this."""

_MAX_CUT_CHARACTERS = 16_000_000
"""Sum of the tokens' squared lengths: what looking at every cut of every token costs. Llama has 1.0 million."""


def read(metadata: Mapping[str, Any]) -> Vocabulary:
    """Check and take in the metadata; see `Tokenizer.from_gguf`."""
    model = _get(metadata, "model", str)
    if model not in ("gpt2", "llama"):
        _refuse("model", f"is `{model[:40]}`", "supported are `gpt2` (byte-level BPE) and `llama` (SentencePiece BPE)")
    tokens = _list(metadata, "tokens", str, at_most=MAX_TOKENS)
    types = _list(metadata, "token_type", int, length=len(tokens))
    unknown = next((kind for kind in types if not _NORMAL <= kind <= _BYTE), None)
    if unknown is not None:
        _refuse("token_type", f"holds {unknown}, allowed are {_NORMAL} to {_BYTE}")
    named = [_token_id(metadata, f"{role}_token_id", len(tokens)) for role in ("bos", "padding", "unknown")]
    bos_id, pad_id, _ = named
    ends = (_token_id(metadata, f"{role}_token_id", len(tokens)) for role in ("eos", "eot", "eom"))
    eos_ids = tuple(dict.fromkeys(index for index in ends if index is not None))
    swallowing = model == "llama" and _is_phi3(metadata)
    special = []
    for index, (token, kind) in enumerate(zip(tokens, types, strict=True)):
        declared = index in eos_ids or kind in (_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED)
        if declared or is_control(token, named=index in named):
            hidden = kind != _USER_DEFINED or index in eos_ids
            special.append(SpecialToken(index, token, hidden, rstrip=swallowing and token not in _PHI3_PLAIN))
    common: dict[str, Any] = {
        "tokens": tuple(tokens),
        "special": tuple(special),
        "bos_id": bos_id,
        "eos_ids": eos_ids,
        "pad_id": pad_id,
    }
    if model == "gpt2":
        return _byte_level(metadata, common)
    return _sentencepiece(metadata, types, common)


def _byte_level(metadata: Mapping[str, Any], common: dict[str, Any]) -> Vocabulary:
    rule = _get(metadata, "pre", str)
    if rule not in GGUF_SPLITS:
        _refuse("pre", f"is `{rule[:40]}`, an unknown word-splitting rule", f"known are {', '.join(GGUF_SPLITS)}")
    merges = []
    for rank, merge in enumerate(_list(metadata, "merges", str, at_most=MAX_MERGES)):
        left, _, right = merge.partition(" ")
        if not left or not right or " " in right:
            _refuse("merges", f"entry {rank} is not a pair of tokens")
        merges.append((left, right))
    return Vocabulary(
        kind="byte",
        merges=tuple(merges),
        split=GGUF_SPLITS[rule],
        whole_words=rule in GGUF_WHOLE_WORDS,
        add_bos=_flag(metadata, "add_bos_token", default=rule in GGUF_WHOLE_WORDS),
        **common,
    )


def _sentencepiece(metadata: Mapping[str, Any], types: list[int], common: dict[str, Any]) -> Vocabulary:
    tokens: tuple[str, ...] = common["tokens"]
    scores = _list(metadata, "scores", float, length=len(tokens))
    if any(score != score or abs(score) == float("inf") for score in scores):
        _refuse("scores", "holds a score that is not finite")
    ordinary = {token: index for index, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind == _NORMAL}
    ranked = {token: scores[index] for token, index in ordinary.items()}
    return Vocabulary(
        kind="sentencepiece",
        merges=_merges_of_scores(ranked, ordinary),
        prefix="every" if _flag(metadata, "add_space_prefix", default=True) else "never",
        add_bos=_flag(metadata, "add_bos_token", default=True),
        **common,
    )


def _merges_of_scores(scores: Mapping[str, float], ids: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Every way to make a token of two others, the highest score first.

    The ways to make one token share its score. SentencePiece takes the leftmost place among equals; a list must
    order the ways themselves, and the published `tokenizer.json` files order them by the ids of the two.
    """
    if sum(len(token) ** 2 for token in scores) > _MAX_CUT_CHARACTERS:
        _refuse("tokens", f"are so long that their cuts have more than {_MAX_CUT_CHARACTERS} characters")
    merges: list[tuple[str, str]] = []
    for token in sorted(scores, key=lambda token: -scores[token]):
        lefts = [left for cut in range(1, len(token)) if (left := token[:cut]) in ids]
        made = [(left, right) for left in lefts if (right := token[len(left) :]) in ids]
        merges += made if len(made) < 2 else sorted(made, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        if len(merges) > MAX_MERGES:
            _refuse("scores", f"lead to more than {MAX_MERGES} merges")
    return tuple(merges)


def _is_phi3(metadata: Mapping[str, Any]) -> bool:
    name = metadata.get("general.name")
    lowered = name.lower() if isinstance(name, str) else ""
    return metadata.get("general.architecture") == "phi3" or "phi-3" in lowered or "phi3" in lowered


def _get(metadata: Mapping[str, Any], field: str, kind: type) -> Any:
    value = metadata.get(f"tokenizer.ggml.{field}")
    if type(value) is not kind:
        _refuse(field, "is missing" if value is None else f"is a {type(value).__name__}, not {kind.__name__}")
    return value


def _flag(metadata: Mapping[str, Any], field: str, *, default: bool) -> bool:
    if metadata.get(f"tokenizer.ggml.{field}") is None:
        return default
    return bool(_get(metadata, field, bool))


def _token_id(metadata: Mapping[str, Any], field: str, num_tokens: int) -> int | None:
    if metadata.get(f"tokenizer.ggml.{field}") is None:
        return None
    value: int = _get(metadata, field, int)
    if not 0 <= value < num_tokens:
        _refuse(field, f"is {value}, outside the vocabulary of {num_tokens}")
    return value


def _list(
    metadata: Mapping[str, Any], field: str, kind: type, *, length: int | None = None, at_most: int | None = None
) -> list[Any]:
    """An array as a list; a NumPy array counts too. Every element is checked."""
    value = metadata.get(f"tokenizer.ggml.{field}")
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, list | tuple):
        _refuse(field, "is missing" if value is None else "is not an array")
    if length is not None and len(value) != length:
        _refuse(field, f"has {len(value)} entries for {length} tokens")
    if at_most is not None and len(value) > at_most:
        _refuse(field, f"has {len(value)} entries, at most {at_most}")
    wrong = next((entry for entry in value if type(entry) is not kind), None)
    if wrong is not None:
        _refuse(field, f"holds a {type(wrong).__name__}, not {kind.__name__}")
    return list(value)


def _refuse(field: str, problem: str, hint: str | None = None) -> NoReturn:
    raise UserError(f"`tokenizer.ggml.{field}` {problem}", hint=hint)
