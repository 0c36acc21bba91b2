"""Baselines: proper distributions, and answers that can be worked out by hand."""

import math

import numpy as np
import pytest

from pocketphi.chat import Conversation, Message
from pocketphi.data.records import Question
from pocketphi.errors import UserError
from pocketphi.eval.baselines import MostFrequentAnswer, NGramModel, conversation_text
from pocketphi.runtime.backend import Backend, GenerateRequest, ScoreRequest
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.writer import StopReason

TEXTS = ["the cat sat on the mat.", "the dog sat on the log.", "the cat ran.", "\uc0ac\uacfc  three\ttabs"]


def exchange(question: str, answer: str) -> Conversation:
    return Conversation((Message("user", question), Message("assistant", f"Let us see.\nAnswer: {answer}")))


def ask(backend: Backend, prompt: str | tuple[Message, ...], max_tokens: int = 30, **options: object) -> object:
    return backend.generate([GenerateRequest(prompt=prompt, max_tokens=max_tokens, **options)])[0]


def test_every_distribution_sums_to_one_with_what_is_left_for_unknown_words():
    model = NGramModel.learn(TEXTS)
    spelt = np.exp([-(len(word.encode()) + 1) * math.log(257) for word in model._words])
    for history in ([0], [0, 1], [0, 1, 2, 3], [3, 1], [-1], [2, -1, 1], [5, 5, 5, 5, 5]):
        known, unseen = model.distribution(history)
        assert (known > 0).all()
        assert known.sum() + unseen * (1 - spelt.sum()) == pytest.approx(1.0, abs=1e-12)


def test_two_words_back_by_hand():
    model = NGramModel.learn(["a b", "a c", "a b"], order=2)
    # The stream is END a b END a c END a b END: words of 4 kinds, 10 in all.
    ids = {word: index for index, word in enumerate(model._words)}
    unigram = {word: model._unigram[index] for word, index in ids.items()}
    assert unigram[" b"] == pytest.approx((2 + 4 * 257.0**-3) / 14)
    known, unseen = model.distribution([0, ids["a"]])
    # After `a` came two kinds of words, three in all.
    assert known[ids[" b"]] == pytest.approx((2 + 2 * unigram[" b"]) / 5)
    assert known[ids[" c"]] == pytest.approx((1 + 2 * unigram[" c"]) / 5)
    assert known[0] == pytest.approx(2 * unigram[""] / 5)
    assert unseen == pytest.approx(4 / 14 * 2 / 5)


def test_scores_chain():
    model = NGramModel.learn(TEXTS)
    whole, first, second = model.score(
        [
            ScoreRequest(context="the", continuation=" cat sat on a zebra."),
            ScoreRequest(context="the", continuation=" cat sat"),
            ScoreRequest(context="the cat sat", continuation=" on a zebra."),
        ]
    )
    assert whole.logprob == pytest.approx(first.logprob + second.logprob)
    assert whole.num_tokens == first.num_tokens + second.num_tokens == 6
    assert first.logprob > second.logprob
    assert math.isfinite(second.logprob)


def test_greedy_answers_repeat_what_was_learnt():
    model = NGramModel.learn(TEXTS)
    answer = ask(model, "the dog sat")
    assert answer.text == " on the log."
    assert answer.stop_reason is StopReason.END
    assert ask(model, "the dog sat", max_tokens=2).stop_reason is StopReason.LENGTH
    cut = ask(model, "the dog sat", stop=("the l",))
    assert (cut.text, cut.stop_reason) == (" on ", StopReason.STOP)
    assert ask(model, "\uc0ac\uacfc ").text == " three\ttabs"
    with pytest.raises(UserError, match="likeliest word only"):
        ask(model, "the", sampling=SamplingOptions(temperature=1.0))
    with pytest.raises(UserError, match="no text"):
        NGramModel.learn([])


def test_conversations_are_learnt_as_they_are_asked():
    model = NGramModel.learn(
        [conversation_text(exchange("two and two?", "4")), conversation_text(exchange("why?", "x"))]
    )
    assert ask(model, (Message("user", "two and two?"),)).text == "Let us see.\nAnswer: 4"
    assert ask(model, (Message("user", "never asked"),)).text.startswith("Let us see.\nAnswer: ")


def test_a_begun_answer_is_gone_on_with():
    learnt = [exchange("two and two?", "4"), exchange("why?", "x")]
    model = NGramModel.learn(map(conversation_text, learnt))
    begun = (Message("user", "two and two?"), Message("assistant", "Let us see.\nAnswer:"))
    assert ask(model, begun).text == " 4"
    told, plain = model.score(
        [
            ScoreRequest(context=begun, continuation=" 4"),
            ScoreRequest(context="[user]\ntwo and two?\n[assistant]\nLet us see.\nAnswer:", continuation=" 4"),
        ]
    )
    assert told == plain
    asked = GenerateRequest(prompt=begun, max_tokens=1)
    assert model.length(ScoreRequest(context=begun, continuation=" 4 5")) == model.length(asked) + 2
    commonest = MostFrequentAnswer({"sums": "7"}, {"two and two?": "sums"})
    assert ask(commonest, begun).text == "Answer: 7"
    assert commonest.length(asked) is None


def test_the_commonest_answer_of_a_topic():
    def question(number: int, topic: str, text: str) -> Question:
        return Question(id=str(number), topic=topic, tier="known_templates", question=text, answer="?")

    asked = [
        question(1, "sums", "How many apples are left?"),
        question(2, "sums", "How many pears are left in all?"),
        question(3, "places", "Where is the red ball?"),
        question(4, "places", "Where is the key now?"),
    ]
    learnt = [
        exchange("How many plums are left?", "7"),
        exchange("How many figs are left?", "7."),
        exchange("How many nuts are there in all?", "9"),
        exchange("Where is the hat?", "In the box"),
        exchange("Where is the dog now?", "in the box"),
        exchange("Where is the cat?", "the garden"),
    ]
    backend = MostFrequentAnswer.learn(learnt, asked)
    answers = [ask(backend, (Message("user", item.question),)).text for item in asked]
    assert answers == ["Answer: 7", "Answer: 7", "Answer: in the box", "Answer: in the box"]
    assert ask(backend, "Where is the key now?\n").text == "Answer: in the box"
    assert ask(backend, "never asked").text == "Answer: "
    assert not backend.capabilities.logprobs
    with pytest.raises(UserError):
        backend.score([ScoreRequest(context="a", continuation="b")])
