"""What a server says about the tokens of a prompt: read, and held against what it was sent.

Two forms are in use. With `echo`, the completion begins with the prompt, and `logprobs` lists a text, a log probability
and the likeliest alternative for each token (OpenAI's first API; vLLM, SGLang, llama-cpp-python). `prompt_logprobs` is
vLLM's own, for conversations too: for each token a table of token ids.

Offsets that servers send are not used: they count what each token gives by itself, and a token by itself may have lost
a space (SentencePiece) or be a part of a letter. Where a token lies is found by laying the tokens along the text; if
they do not add up to it, the server has read something else, and nothing it says is believed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pocketphi.errors import shown

_SLACK = 1e-4
"""How far rounding may lift a log probability above its bound."""
_TOLERANCE = 0.1
"""Nats by which a token may differ between two answers: 16-bit arithmetic in batches of different size."""


class Untrue(Exception):
    """A reply contradicts itself, or what was asked."""


@dataclass(frozen=True, kw_only=True)
class Echo:
    """The tokens of a prompt, in order."""

    keys: tuple[str, ...]
    """Ids, or texts where there are none; equal for equal tokens."""
    pieces: tuple[str, ...]
    """Texts."""
    logprobs: tuple[float | None, ...]
    """Natural logarithms; None for a first token that nothing predicts."""
    best: tuple[float | None, ...]
    """The same of the likeliest token there."""

    def __len__(self) -> int:
        return len(self.keys)

    def is_greedy(self, index: int) -> bool:
        """Whether the token was the likeliest, or as likely."""
        own, best = self.logprobs[index], self.best[index]
        return own is None or best is None or own >= best - 1e-6


def echo_of_completion(reply: Mapping[str, Any], prompt: str) -> Echo | None:
    """From a completion with `echo`, `logprobs` and at most one new token; None if the server gives no such thing.

    Raises:
        Untrue: it does, and what it gives is wrong.
    """
    choice = only_choice(reply)
    told = choice.get("logprobs")
    if not isinstance(told, dict) or told.get("tokens") is None or told.get("top_logprobs") is None:
        return None
    columns = [told.get(name) for name in ("tokens", "token_logprobs", "top_logprobs")]
    if not all(isinstance(column, list) for column in columns):
        raise Untrue("gives `logprobs` that are no lists")
    tokens, logprobs, tops = columns
    assert isinstance(tokens, list)
    assert isinstance(logprobs, list)
    assert isinstance(tops, list)
    if not len(tokens) == len(logprobs) == len(tops):
        raise Untrue(f"gives {len(tokens)} tokens, {len(logprobs)} logprobs and {len(tops)} alternatives")
    if not all(isinstance(token, str) for token in tokens):
        raise Untrue("gives tokens that are no texts")
    if len(tokens) <= 1 and not str(choice.get("text")).startswith(prompt):
        return None  # about the new token alone: `echo` went unheard
    length = _prompt_length(reply, tokens, prompt)
    if length is None and len(tokens) <= 1:
        return None
    if length is None:
        raise Untrue(f"gives tokens that do not add up to the prompt: `{shown(''.join(tokens))}`")
    found = [_checked(index, logprobs[index], tops[index]) for index in range(length)]
    pieces = tuple(tokens[:length])
    return Echo(
        keys=pieces,
        pieces=pieces,
        logprobs=tuple(own for own, _ in found),
        best=tuple(best for _, best in found),
    )


def echo_of_prompt(reply: Mapping[str, Any], prompt: str | None, opens: bool | None = None) -> Echo | None:
    """From a reply with vLLM's `prompt_logprobs`; None if the server gives no such thing.

    Args:
        prompt: what the tokens must add up to; None for a conversation, whose text only the server knows.
        opens: whether the server puts a token of its own before every text; None if that is not known.

    Raises:
        Untrue: it does, and what it gives is wrong.
    """
    table = only_choice(reply).get("prompt_logprobs", reply.get("prompt_logprobs"))
    if table is None:
        return None
    if not isinstance(table, list) or not table:
        raise Untrue("gives `prompt_logprobs` that are no list")
    keys: list[str] = []
    pieces: list[str | None] = []
    found: list[tuple[float | None, float | None]] = []
    for index, row in enumerate(table):
        if row is None and index == 0:
            # vLLM does not name a token that nothing predicts.
            keys.append("")
            pieces.append(None)
            found.append((None, None))
            continue
        if not isinstance(row, dict) or not row or not all(isinstance(entry, dict) for entry in row.values()):
            raise Untrue(f"gives no logprobs for token {index}")
        # The token itself and the likeliest one, which are one entry if they are the same.
        key = min(row, key=lambda name: _number(row[name].get("logprob"), index))
        tops = {name: entry.get("logprob") for name, entry in row.items()}
        found.append(_checked(index, tops[key], tops))
        keys.append(key)
        piece = row[key].get("decoded_token")
        pieces.append(piece if isinstance(piece, str) else "")
    texts = _named(pieces, prompt, opens)
    if prompt is not None and spans(texts, prompt) is None:
        raise Untrue(f"gives tokens that do not add up to the prompt: `{shown(''.join(texts))}`")
    return Echo(
        keys=tuple(keys),
        pieces=tuple(texts),
        logprobs=tuple(own for own, _ in found),
        best=tuple(best for _, best in found),
    )


def spans(pieces: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """From where to where in `text` each token lies; None if they do not add up to it.

    Allowed for: a first token that opens every text; spaces that a token loses by itself; letters that several tokens
    share. Neighbours that are unclear in this way lie, all of them, where they do together.
    """
    found: list[tuple[int, int]] = []
    place = 0
    unclear: list[str] = []
    for index, piece in enumerate(pieces):
        if not piece or (is_blurred(piece) and not text.startswith(piece, place)):
            unclear.append(piece)
            continue
        if unclear:
            places = range(place, min(len(text), place + _reach(unclear)) + 1)
            until = next((p for p in places if text.startswith(piece, p) and _may_be(unclear, text[place:p])), None)
            if until is None:
                return None
            found += [(place, until)] * len(unclear)
            place, unclear = until, []
        start = place
        while not text.startswith(piece, place) and text.startswith(" ", place):
            place += 1
        if text.startswith(piece, place):
            place += len(piece)
        elif start == 0 and index <= 1 and text.startswith(piece[1:]) and piece.startswith(" "):
            place = len(piece) - 1
        elif index == 0:
            place = start
        else:
            return None
        found.append((start, place))
    rest = text[place:]
    if unclear:
        if len(rest) > _reach(unclear) or not _may_be(unclear, rest):
            return None
        return found + [(place, len(text))] * len(unclear)
    if found and rest.isspace():
        found[-1] = (found[-1][0], len(text))
    return found if not rest or (found and rest.isspace()) else None


def _reach(unclear: Sequence[str]) -> int:
    """Characters that these tokens cover at most, with spaces that those before them may have lost."""
    return sum(max(1, len(piece)) for piece in unclear) + 8


def _may_be(unclear: Sequence[str], text: str) -> bool:
    """Whether `text` may be what these tokens hide: letters beyond ASCII, spaces, and what one of them shows; each
    that shows anything takes a byte."""
    shown_too = set("".join(unclear))
    if not all(letter.isspace() or not letter.isascii() or letter in shown_too for letter in text):
        return False
    return len(text.encode("utf-8", "surrogatepass")) >= sum(map(bool, unclear))


def num_same(whole: Echo, context: Echo) -> int:
    """Tokens that both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(whole.keys, context.keys, strict=False)))


def agree(echoes: Sequence[Echo]) -> None:
    """Raises `Untrue` unless all say the same about the tokens that they begin with."""
    first = echoes[0]
    if len(first) > 2 and len(set(first.logprobs[1:])) == 1:
        raise Untrue(f"gives every token the logprob {first.logprobs[1]:g}")
    for other in echoes[1:]:
        shared = num_same(other, first)
        if shared < len(first) - 1:
            raise Untrue("splits one text into tokens in two ways")
        for place in range(1, shared):
            one, two = first.logprobs[place], other.logprobs[place]
            if abs((one or 0.0) - (two or 0.0)) > _TOLERANCE:
                raise Untrue(f"gives one token the logprobs {one:g} and {two:g}, with the same text before it")


def only_choice(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The one answer of a reply. Raises `Untrue`."""
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Untrue("does not give one choice, as was asked")
    return choices[0]


def count(reply: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens from `usage`; None if the server does not count. Raises `Untrue`."""
    usage = reply.get("usage")
    value = usage.get(name) if isinstance(usage, dict) else None
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise Untrue(f"counts `{shown(value)}` {name}")
    return value


def _prompt_length(reply: Mapping[str, Any], tokens: list[str], prompt: str) -> int | None:
    """How many of `tokens` are the prompt's: all, or all but the new one; None if neither adds up to it."""
    likely = (count(reply, "prompt_tokens"), len(tokens) - 1, len(tokens))
    return next(
        (n for n in likely if n and len(tokens) - 1 <= n <= len(tokens) and spans(tokens[:n], prompt) is not None), None
    )


def _named(pieces: Sequence[str | None], prompt: str | None, opens: bool | None) -> list[str]:
    """`pieces` with the first one, where it is unnamed: nothing, if the server put it there, else what of the prompt
    stands before the second, as far as the others fix that."""
    rest = [piece or "" for piece in pieces[1:]]
    if pieces[0] is not None or prompt is None:
        return [pieces[0] or "", *rest]
    starts = (*([0] if opens is not False else []), *([] if opens else range(1, min(len(prompt), 256) + 1)), 0)
    return [next((prompt[:n] for n in starts if spans(["", *rest], prompt[n:]) is not None), ""), *rest]


def _checked(index: int, own: Any, tops: Any) -> tuple[float | None, float | None]:
    """A token's log probability and that of the likeliest one there."""
    if own is None and index == 0:
        return None, None
    logprob = _number(own, index)
    if not isinstance(tops, dict) or not tops:
        raise Untrue(f"gives no alternatives for token {index}")
    others = [_number(value, index) for value in tops.values()]
    if logprob > max(others) + _SLACK:
        raise Untrue(f"gives token {index} the logprob {logprob:g}, and the likeliest token there {max(others):g}")
    if sum(map(math.exp, others)) > 1.01:
        raise Untrue(f"gives probabilities for token {index} that sum to {sum(map(math.exp, others)):.3f}")
    return logprob, max(others)


def _number(value: Any, index: int) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not -1e30 < value <= _SLACK:
        raise Untrue(f"gives token {index} the logprob `{shown(value)}`")
    return min(0.0, float(value))


def is_blurred(piece: str) -> bool:
    """Whether it is a part of a letter: a replacement character, or bytes in OpenAI's spelling."""
    return "\ufffd" in piece or piece.startswith("bytes:")
