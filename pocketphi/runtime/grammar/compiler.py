"""Grammars for one model's vocabulary, by llguidance.

llguidance follows a grammar byte by byte and says after each token which tokens keep the text a beginning of one that
the grammar allows. That is all that is asked of it: no token is forced where several spellings are possible, so an
answer is drawn from the model's own distribution over what is allowed.

What a vocabulary needs on top of that:

- Control tokens have no text here, so no grammar reaches them, not even one that names them by number. Which of them
  end a turn is the writer's business (`runtime.writer`), so the end of a grammar is a token beyond the vocabulary.
- In vocabularies of the SentencePiece kind the first token of an answer may begin with a space that its text loses.
  The first mask is therefore made with a vocabulary of tokens without it.

Compiling takes a millisecond for most grammars and less than a tenth of a second for any, the vocabulary a tenth of a
second once; both let other threads run. A mask takes 5 to 200 microseconds. One that takes too long ends the answer.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import llguidance

from pocketphi.errors import UserError
from pocketphi.runtime.grammar.closing import Closers, Closing, packed
from pocketphi.runtime.grammar.matcher import GrammarMatcher, error_of
from pocketphi.runtime.grammar.sources import choice_source, lark_source, regex_source, schema_source
from pocketphi.tokenizer import Tokenizer

LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=100_000,
    step_max_items=10_000,
    max_lexer_states=16_000,
    max_grammar_size=20_000,
    precompute_large_lexemes=False,
    verbose_errors=False,
)
"""Per grammar and per mask: some ten milliseconds each, and 32 MB of states."""
MAX_KEPT = 32
"""Compiled grammars that wait to be asked for again."""


class GrammarCompiler:
    """Makes grammars for one vocabulary. Safe to share between threads.

    Args:
        tokenizer: the model's.
        vocab_size: rows of the model's logits, V; no fewer than the tokenizer has ids.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self._tokenizer, self._vocab_size = tokenizer, vocab_size
        self._lock = threading.Lock()
        self._vocabulary: Vocabulary | None = None
        self._kept: OrderedDict[tuple[str, bool], CompiledGrammar] = OrderedDict()

    def json_schema(self, schema: Mapping[str, Any] | bool, *, closes: bool = True) -> "CompiledGrammar":
        """JSON that `schema` allows (`sources`).

        Args:
            closes: come to the end before tokens run out (`closing`).

        Raises:
            UserError: the schema is wrong, too costly, or has a keyword that cannot be kept to.
        """
        return self.compile(f"start: {schema_source(schema)}", closes=closes)

    def json_object(self) -> "CompiledGrammar":
        """Any JSON object."""
        return self.json_schema({"type": "object"})

    def regex(self, pattern: str) -> "CompiledGrammar":
        """Text that `pattern` matches as a whole."""
        return self.compile(f"start: {regex_source(pattern)}")

    def choice(self, texts: Sequence[str]) -> "CompiledGrammar":
        """One of `texts`."""
        return self.compile(f"start: {choice_source(texts)}")

    def lark(self, text: str) -> "CompiledGrammar":
        """A grammar in llguidance's Lark, with a rule `start`, as somebody wrote it."""
        return self.compile(lark_source(text))

    def compile(self, lark: str, *, closes: bool = False) -> "CompiledGrammar":
        """A whole grammar made of what the functions of `sources` give.

        Args:
            closes: it is JSON, but for what holds no quotes; come to the end before tokens run out.

        Raises:
            UserError: it is wrong, too costly, or allows nothing.
        """
        with self._lock:
            grammar = self._kept.get((lark, closes))
            if grammar is not None:
                self._kept.move_to_end((lark, closes))
                return grammar
            if self._vocabulary is None:
                self._vocabulary = Vocabulary(self._tokenizer, self._vocab_size)
        grammar = CompiledGrammar(self._vocabulary, f'%llguidance {{"no_forcing": true}}\n{lark}', closes=closes)
        with self._lock:
            self._kept[lark, closes] = grammar
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return grammar


class CompiledGrammar:
    """What an answer may be; serves any number of answers at once (`scheduler.job.Grammar`)."""

    def __init__(self, vocabulary: "Vocabulary", lark: str, *, closes: bool) -> None:
        self._vocabulary, self._closes = vocabulary, closes
        self._begun = _compiled(vocabulary.first, lark)
        self._rest = None if vocabulary.rest is vocabulary.first else _compiled(vocabulary.rest, lark)
        first = self.start()
        if first.is_finished or not first.mask().any():
            raise UserError("the grammar allows no text at all", hint="check references that lead to themselves")

    def start(self) -> GrammarMatcher:
        """The state before the first token."""
        return GrammarMatcher(
            self._begun.deep_copy(),
            None if self._rest is None else self._rest.deep_copy(),
            self._vocabulary.pieces,
            self._vocabulary.reachable,
            Closing(self._vocabulary.closers) if self._closes else None,
        )


class Vocabulary:
    """A model's tokens as llguidance sees them.

    Args:
        vocab_size: rows of the model's logits.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        hidden = {special.id for special in tokenizer.vocabulary.special if special.hidden}
        self.pieces = [b"" if token in hidden else tokenizer.piece(token) for token in range(vocab_size)]
        """The bytes of every token; none of those that no grammar may reach."""
        self.reachable = packed([*(piece != b"" for piece in self.pieces), True])
        """Tokens that have bytes, and the end."""
        self.closers = Closers(self.pieces)
        self.rest = _vocabulary(self.pieces)
        """For all tokens of an answer but the first."""
        self.first = self.rest
        """For the first one: the same, unless its text loses a space."""
        if tokenizer.vocabulary.prefix != "never":
            self.first = _vocabulary([piece.removeprefix(b" ") for piece in self.pieces])


class _Pieces:
    """A vocabulary as llguidance asks for one. The id behind the last stands for the end of the text."""

    bos_token_id = None
    special_token_ids: Sequence[int] = ()

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.tokens = [*pieces, b""]
        self.eos_token_id = len(pieces)

    def __call__(self, _: str | bytes) -> list[int]:
        return []  # asked for where tokens are forced, which they are not


def _vocabulary(pieces: Sequence[bytes]) -> llguidance.LLTokenizer:
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Pieces(pieces)))


def _compiled(vocabulary: llguidance.LLTokenizer, lark: str) -> llguidance.LLMatcher:
    matcher = llguidance.LLMatcher(vocabulary, llguidance.LLMatcher.grammar_from_lark(lark), log_level=0, limits=LIMITS)
    if matcher.is_error():
        raise error_of(matcher.get_error())
    return matcher
