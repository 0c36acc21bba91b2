"""What little it takes to answer some questions: baselines that a model has to beat.

Both answer through the `Backend` protocol, so `eval.questions.evaluate` measures them as it measures models.

`MostFrequentAnswer` knows the topic of every question and always gives the answer that its topic's training
exercises have most often. It is told the topics of the held-out questions, and learns from them which topic an
exercise has, so it does a little better than it deserves.

`NGramModel` is a language model over words that looks four words back. Its distribution interpolates all orders
by how many different words have followed a context (Witten and Bell 1991); an unknown word is spelt in bytes, so
its log probabilities are proper and compare with a model's in bits per byte.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pocketphi.chat import Conversation, Message
from pocketphi.data.records import Question
from pocketphi.errors import UserError
from pocketphi.eval.answers import MARK, final_answer, normalise
from pocketphi.runtime.backend import Capabilities, GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.stopping import StopFinder
from pocketphi.runtime.writer import StopReason

_WORD = re.compile(r" ?\w+|[^\w]")
_NO_LIMIT = 1 << 20
_END = 0
"""The id of the end of a text, which also stands before the first word."""


class MostFrequentAnswer:
    """Gives every question the commonest answer of its topic.

    Args:
        answers: topic to answer.
        topics: question to topic.
    """

    def __init__(self, answers: Mapping[str, str], topics: Mapping[str, str]) -> None:
        self._answers = answers
        self._topics = topics

    @classmethod
    def learn(cls, conversations: Iterable[Conversation], questions: Sequence[Question]) -> "MostFrequentAnswer":
        """Count the answers of training exercises by topic; `questions` are those that will be asked."""
        topic_of = _TopicByWords(questions)
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for conversation in conversations:
            for user, assistant in zip(conversation.messages, conversation.messages[1:], strict=False):
                answer = final_answer(assistant.content)
                if user.role == "user" and answer is not None:
                    counts[topic_of(user.content)][normalise(answer)] += 1
        answers = {topic: _most_common(found) for topic, found in counts.items()}
        return cls(answers, {question.question: question.topic for question in questions})

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=False, logprobs=False, grammar=False, max_context=_NO_LIMIT)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:  # noqa: ARG002 - the protocol's name
        raise UserError("the most frequent answer has no probability")

    def length(self, request: ScoreRequest | GenerateRequest) -> int | None:  # noqa: ARG002 - the protocol's name
        return None

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        return [self._answer(request.prompt) for request in requests]

    def _answer(self, prompt: str | tuple[Message, ...]) -> GenerateResult:
        if isinstance(prompt, str):
            question = prompt.strip()
        else:
            question = next((message.content for message in reversed(prompt) if message.role == "user"), "")
        text = f"{MARK} {self._answers.get(self._topics.get(question, ''), '')}"
        return GenerateResult(text=text, num_tokens=len(_WORD.findall(text)), stop_reason=StopReason.END)


@dataclass(frozen=True, eq=False)
class _Level:
    """The n-grams of one order, in order: `context << 32 | last word`, where a context is its number one order down."""

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]

    def number(self, context: int, word: int) -> int | None:
        """Of an n-gram; None if it was never seen."""
        key = np.uint64(context << 32 | word)
        index = int(np.searchsorted(self.keys, key))
        return index if index < len(self.keys) and self.keys[index] == key else None

    def followers(self, context: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Words that were seen after a context, and how often; none after None."""
        if context is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        begin, end = np.searchsorted(self.keys, np.array([context << 32, (context + 1) << 32], np.uint64))
        return (self.keys[begin:end] & np.uint64(0xFFFFFFFF)).astype(np.int64), self.counts[begin:end]


class NGramModel:
    """A language model of `order` words; `NGramModel.learn` makes one."""

    def __init__(self, words: Sequence[str], levels: Sequence[_Level]) -> None:
        self._words = words
        self._ids = {word: index for index, word in enumerate(words)}
        self._levels = levels
        counts = levels[0].counts
        self._kinds, self._total = len(counts), int(counts.sum())
        spelt = np.exp([_log_spelling(word) for word in words])
        self._unigram = (counts + self._kinds * spelt) / (self._total + self._kinds)

    @classmethod
    def learn(cls, texts: Iterable[str], *, order: int = 5) -> "NGramModel":
        """Count the n-grams of texts.

        Raises:
            UserError: there is no text.
        """
        ids: dict[str, int] = {"": _END}
        stream = np.fromiter(
            chain([_END], *([*(ids.setdefault(word, len(ids)) for word in _words(text)), _END] for text in texts)),
            np.uint64,
        )
        if len(stream) < 2:
            raise UserError("no text to count words in")
        levels: list[_Level] = []
        context = np.zeros(len(stream), np.uint64)
        for _ in range(order):
            keys, numbers, counts = np.unique(
                context << np.uint64(32) | stream, return_inverse=True, return_counts=True
            )
            levels.append(_Level(keys, counts))
            # One order up, the context of a word is the n-gram that ends before it.
            context, stream = numbers[:-1].astype(np.uint64), stream[1:]
        return cls(list(ids), levels)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=False, logprobs=True, grammar=False, max_context=_NO_LIMIT)

    def length(self, request: ScoreRequest | GenerateRequest) -> int:
        """Words of a prompt, or of context and continuation."""
        if isinstance(request, GenerateRequest):
            return len(_words(_plain(request.prompt)))
        return len(_words(_plain(request.context) + request.continuation))

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """Log likelihoods; a token is a word."""
        return [self._score(request) for request in requests]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """The likeliest next word, again and again. Raises `UserError` if a request wants it otherwise."""
        if any(request.sampling.temperature for request in requests):
            raise UserError("the n-gram model takes the likeliest word only", hint="ask with temperature 0")
        return [self._generate(request) for request in requests]

    def distribution(self, history: Sequence[int]) -> tuple[NDArray[np.float64], float]:
        """What comes after some ids; -1 stands for an unknown word.

        Returns:
            (words,) the probability of every known word, and what an unknown word's spelling is multiplied by.
        """
        probabilities = self._unigram.copy()
        unseen = self._kinds / (self._total + self._kinds)
        for length in range(1, min(len(self._levels) - 1, len(history)) + 1):
            context = self._context(history[-length:])
            words, counts = self._levels[length].followers(context)
            if not len(words):
                break
            whole = int(counts.sum()) + len(words)
            probabilities *= len(words) / whole
            probabilities[words] += counts / whole
            unseen *= len(words) / whole
        return probabilities, unseen

    def _context(self, words: Sequence[int]) -> int | None:
        number: int | None = 0
        for level, word in zip(self._levels, words, strict=False):
            number = None if number is None or word < 0 else level.number(number, word)
        return number

    def _history(self, text: str) -> list[int]:
        return [_END, *(self._ids.get(word, -1) for word in _words(text))]

    def _score(self, request: ScoreRequest) -> ScoreResult:
        context = _plain(request.context)
        history = self._history(context)
        logprob, is_greedy = 0.0, True
        words = _words(context + request.continuation)[len(history) - 1 :]
        for word in words:
            known = self._ids.get(word, -1)
            probabilities, unseen = self.distribution(history)
            logprob += math.log(probabilities[known]) if known >= 0 else math.log(unseen) + _log_spelling(word)
            is_greedy &= known == int(probabilities.argmax())
            history.append(known)
        return ScoreResult(logprob=logprob, num_tokens=len(words), is_greedy=is_greedy)

    def _generate(self, request: GenerateRequest) -> GenerateResult:
        history = self._history(_plain(request.prompt))
        finder, text = StopFinder(request.stop), ""
        for count in range(request.max_tokens):
            word = int(self.distribution(history)[0].argmax())
            if word == _END:
                return GenerateResult(text=text + finder.finish(), num_tokens=count, stop_reason=StopReason.END)
            history.append(word)
            text += finder.push(self._words[word])
            if finder.found:
                return GenerateResult(text=text, num_tokens=count + 1, stop_reason=StopReason.STOP)
        return GenerateResult(text=text + finder.finish(), num_tokens=request.max_tokens, stop_reason=StopReason.LENGTH)


class _TopicByWords:
    """Naive Bayes over words: which topic does a question sound like?"""

    def __init__(self, questions: Iterable[Question]) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for question in questions:
            counts[question.topic].update(_kinds_of_words(question.question))
        if not counts:
            raise UserError("there are no questions to learn topics from")
        words = {word for found in counts.values() for word in found}
        self._costs = {
            topic: {word: math.log((found[word] + 0.1) / (found.total() + 0.1 * len(words))) for word in words}
            for topic, found in sorted(counts.items())
        }

    def __call__(self, question: str) -> str:
        words = _kinds_of_words(question)
        return max(self._costs, key=lambda topic: sum(self._costs[topic].get(word, 0.0) for word in words))


def _kinds_of_words(text: str) -> list[str]:
    return [word.strip().casefold() for word in _words(text) if not word.isspace()]


def _most_common(found: Counter[str]) -> str:
    """The commonest, of several the first by name."""
    return min(found, key=lambda answer: (-found[answer], answer))


def _words(text: str) -> list[str]:
    """A text in words, each with the space before it, and single other characters; joined they are the text."""
    return _WORD.findall(text)


def _plain(prompt: str | tuple[Message, ...]) -> str:
    """A prompt as the texts that are learnt from begin."""
    if isinstance(prompt, str):
        return prompt
    is_begun = bool(prompt) and prompt[-1].role == "assistant"
    return _turns(prompt).removesuffix("\n") if is_begun else f"{_turns(prompt)}[assistant]\n"


def conversation_text(conversation: Conversation) -> str:
    """A conversation as a text for `NGramModel.learn`: each turn below the name of its role."""
    return _turns(conversation.messages).removesuffix("\n")


def _turns(messages: Sequence[Message]) -> str:
    return "".join(f"[{message.role}]\n{message.content}\n" for message in messages)


def _log_spelling(word: str) -> float:
    """Log probability of a word spelt in bytes and a mark for its end, all of them equally likely."""
    return -(len(word.encode(errors="replace")) + 1) * math.log(257)
