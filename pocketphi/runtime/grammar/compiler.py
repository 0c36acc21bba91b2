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

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import llguidance
import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError, shown
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
        self._vocabularies: tuple[llguidance.LLTokenizer, llguidance.LLTokenizer] | None = None
        self._kept: OrderedDict[str, CompiledGrammar] = OrderedDict()

    def json_schema(self, schema: Mapping[str, Any] | bool) -> "CompiledGrammar":
        """JSON that `schema` allows (`sources`).

        Raises:
            UserError: the schema is wrong, too costly, or has a keyword that cannot be kept to.
        """
        return self.rule(schema_source(schema))

    def json_object(self) -> "CompiledGrammar":
        """Any JSON object."""
        return self.json_schema({"type": "object"})

    def regex(self, pattern: str) -> "CompiledGrammar":
        """Text that `pattern` matches as a whole."""
        return self.rule(regex_source(pattern))

    def choice(self, texts: Sequence[str]) -> "CompiledGrammar":
        """One of `texts`."""
        return self.rule(choice_source(texts))

    def lark(self, text: str) -> "CompiledGrammar":
        """A grammar in llguidance's Lark, with a rule `start`, as somebody wrote it."""
        return self.compile(lark_source(text))

    def rule(self, source: str) -> "CompiledGrammar":
        """A right side made by the functions of `sources`."""
        return self.compile(f"start: {source}")

    def compile(self, lark: str) -> "CompiledGrammar":
        """A whole grammar made of their results.

        Raises:
            UserError: it is wrong, too costly, or allows nothing.
        """
        with self._lock:
            grammar = self._kept.get(lark)
            if grammar is not None:
                self._kept.move_to_end(lark)
                return grammar
            if self._vocabularies is None:
                self._vocabularies = self._make_vocabularies()
            first, rest = self._vocabularies
        text = f'%llguidance {{"no_forcing": true}}\n{lark}'
        begun = _compiled(first, text)
        grammar = CompiledGrammar(
            begun, begun if rest is first else _compiled(rest, text), self._tokenizer, self._vocab_size
        )
        with self._lock:
            self._kept[lark] = grammar
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return grammar

    def _make_vocabularies(self) -> tuple[llguidance.LLTokenizer, llguidance.LLTokenizer]:
        """For an answer's first token, and for all others; the same one where these do not differ."""
        hidden = {special.id for special in self._tokenizer.vocabulary.special if special.hidden}
        pieces = [b"" if token in hidden else self._tokenizer.piece(token) for token in range(self._vocab_size)]
        rest = _vocabulary(pieces)
        if self._tokenizer.vocabulary.prefix == "never":
            return rest, rest
        return _vocabulary([piece.removeprefix(b" ") for piece in pieces]), rest


class CompiledGrammar:
    """What an answer may be; serves any number of answers at once (`scheduler.job.Grammar`).

    Args:
        begun: the state at the beginning, in the vocabulary for first tokens.
        rest: the same in that for all others.
    """

    def __init__(
        self, begun: llguidance.LLMatcher, rest: llguidance.LLMatcher, tokenizer: Tokenizer, vocab_size: int
    ) -> None:
        self._begun, self._rest = begun, rest
        self._tokenizer, self._vocab_size = tokenizer, vocab_size
        first = self.start()
        if first.is_finished or not first.mask().any():
            raise UserError("the grammar allows no text at all", hint="check references that lead to themselves")

    def start(self) -> "GrammarMatcher":
        """The state before the first token."""
        rest = None if self._rest is self._begun else self._rest.deep_copy()
        return GrammarMatcher(self._begun.deep_copy(), rest, self._tokenizer, self._vocab_size)


class GrammarMatcher:
    """Where one answer stands in its grammar (`writer.Matcher`)."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        rest: llguidance.LLMatcher | None,
        tokenizer: Tokenizer,
        vocab_size: int,
    ) -> None:
        self._matcher, self._rest, self._tokenizer, self._end = matcher, rest, tokenizer, vocab_size
        self._words = np.zeros(vocab_size // 32 + 1, np.uint32)
        self._mask = self._words[: -(-vocab_size // 32)]
        self.may_end = False
        self.is_finished = False
        self._look()

    def mask(self) -> NDArray[np.uint32]:
        """Bit t % 32 of word t / 32 is set if token t may come next; (ceil(V / 32),), valid until `accept`."""
        return self._mask

    def accept(self, token: int) -> None:
        """`token` was drawn: one that the mask allowed.

        Raises:
            UserError: following the grammar became too costly.
        """
        if self._rest is not None:
            # As bytes, of which every such vocabulary has tokens: the text has lost the first one's space.
            piece, self._matcher, self._rest = self._tokenizer.piece(token).removeprefix(b" "), self._rest, None
            taken = self._matcher.consume_tokens([self._tokenizer.vocabulary.ids[f"<0x{byte:02X}>"] for byte in piece])
        else:
            taken = self._matcher.consume_token(token)
        if not taken:
            raise _error(self._matcher.get_error())
        self._look()

    def _look(self) -> None:
        """Make the mask, and know whether the text may end."""
        self._matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
        if self._matcher.is_error():
            raise _error(self._matcher.get_error())
        word, bit = self._end // 32, np.uint32(1 << self._end % 32)
        self.may_end = bool(self._words[word] & bit)
        self._words[word] &= ~bit
        self.is_finished = self.may_end and not self._mask.any()


class _Pieces:
    """A vocabulary as llguidance asks for one. The id behind the last stands for the end of the text."""

    bos_token_id = None
    special_token_ids: Sequence[int] = ()

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.tokens = [*pieces, b"<end>"]
        self.eos_token_id = len(pieces)

    def __call__(self, _: str | bytes) -> list[int]:
        return []  # asked for where tokens are forced, which they are not


def _vocabulary(pieces: Sequence[bytes]) -> llguidance.LLTokenizer:
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Pieces(pieces)))


def _compiled(vocabulary: llguidance.LLTokenizer, lark: str) -> llguidance.LLMatcher:
    matcher = llguidance.LLMatcher(vocabulary, llguidance.LLMatcher.grammar_from_lark(lark), log_level=0, limits=LIMITS)
    if matcher.is_error():
        raise _error(matcher.get_error())
    return matcher


def _error(text: str) -> UserError:
    """What llguidance says is wrong, as a message of ours."""
    if "NoExtension" in text:
        return UserError("the grammar allows no text at all", hint="check references that lead to themselves")
    if "Unable to determine" in text:
        return UserError("the JSON schema joins conditions on one text that cannot be kept to together")
    if (
        text.startswith("panic")
        or "fuel" in text
        or "limit" in text
        or "too many" in text.lower()
        or "too large" in text
    ):
        return UserError("the grammar is too costly to keep to", hint="make it smaller")
    keys = re.search(r"Unimplemented keys: \[(.*?)\]", text)
    if keys is not None:
        named = ", ".join(f"`{key}`" for key in re.findall(r'"(.*?)"', keys[1]))
        return UserError(f"the JSON schema uses {named}, which cannot be kept to", hint="leave it out, or express it")
    if "oneOf" in text:
        return UserError("the JSON schema has a `oneOf` whose parts may overlap", hint="use `anyOf`")
    line = re.sub(r"^at \d+\(\d+\): |^\d+\(\d+\): ", "", text).partition("\n   1 |")[0]
    problem = line.removeprefix("failed to compile JSON schema: ")
    where = "grammar" if problem == line else "JSON schema"
    return UserError(f"the {where} is not usable: {shown(' '.join(problem.split()), 200)}")
