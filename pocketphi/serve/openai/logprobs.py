"""Log probabilities as OpenAI tells them: the form of chats and the older one of completions."""

import math
from collections.abc import Sequence
from typing import Any

from pocketphi.runtime.sampling import TokenLogprob
from pocketphi.tokenizer import Tokenizer

LEAST = -9999.0
"""OpenAI's word for impossible; JSON has none."""


def chat_logprobs(tokenizer: Tokenizer, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """`choices[].logprobs` of a chat."""
    content = [
        {
            **_named(tokenizer, each.token, each.logprob),
            "top_logprobs": [_named(tokenizer, token, logprob) for token, logprob in each.top],
        }
        for each in logprobs
    ]
    return {"content": content, "refusal": None}


class CompletionLogprobs:
    """`choices[].logprobs` of completions; remembers where in the text the next token begins."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = tokenizer.stream()
        self._offset = 0

    def push(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Of the next tokens."""
        names, offsets = [self._name(each.token) for each in logprobs], []
        for each, name in zip(logprobs, names, strict=True):
            begin = self._offset
            self._offset += len(self._stream.push(each.token))
            # A character whose bytes never came together takes its place only now, before this token.
            offsets.append(begin if name.startswith("bytes:") else max(begin, self._offset - len(name)))
        return {
            "tokens": names,
            "token_logprobs": [_finite(each.logprob) for each in logprobs],
            "top_logprobs": [
                {self._name(token): _finite(logprob) for token, logprob in each.top} if each.top else None
                for each in logprobs
            ],
            "text_offset": offsets,
        }

    def _name(self, token: int) -> str:
        piece = self._tokenizer.piece(token)
        try:
            return piece.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def _named(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, Any]:
    piece = tokenizer.piece(token)
    return {"token": piece.decode(errors="replace"), "logprob": _finite(logprob), "bytes": list(piece)}


def _finite(logprob: float) -> float:
    return max(logprob, LEAST) if math.isfinite(logprob) else LEAST
