"""Generated tasks: every answer is found again in its text by a routine that shares nothing with what wrote it."""

import re
from collections import Counter
from random import Random

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.tasks import haystack
from pocketphi.eval.tasks.longcontext import DEPTHS, KINDS, LENGTHS, LONG_CONTEXT, judge_story, long_context_tasks
from pocketphi.eval.tasks.prompt import FORMATS, REPORT
from pocketphi.eval.tasks.task import Written

ITEMS = 6
SIZES = (1024, 4096, 16384)
TASKS = {task.name: task for task in long_context_tasks(SIZES, items=ITEMS, seed=3)}
ROWS = {name: task.rows() for name, task in TASKS.items()}


def solve_pass_key(row):
    (key,) = set(re.findall(r"\d+", row.context))
    return {key}


def solve_needles(row):
    told = re.findall(r"The number of the (\w+-\w+) is (\d{7})\.", row.context)
    return {number for owner, number in told if owner in re.findall(r"\w+-\w+", row.question)}


def solve_variables(row):
    value = re.search(r"the value (\d+)", row.question)[1]
    held: dict[str, str] = {}
    for name, source in re.findall(r"VAR (\w+) = (?:VAR )?(\w+)\.", row.context):
        held[name] = held.get(source, source)
    assert all(each.isdigit() for each in held.values())  # whatever is handed on was assigned before
    return {name for name, each in held.items() if each == value}


def solve_common_words(row):
    entries = re.findall(r"(\d+)\. (\w+)", row.context)
    assert [int(number) for number, _ in entries] == list(range(1, len(entries) + 1))
    return most_common((word for _, word in entries), 10)


def solve_frequent_words(row):
    return most_common(row.context.split(), 3)


def most_common(words, count):
    ranked = Counter(words).most_common()
    assert ranked[count - 1][1] > ranked[count][1], "the commonest words are not told from the others"
    return {word for word, _ in ranked[:count]}


def solve_people(row):
    town, teacher = {}, {}
    for line in row.context.splitlines():
        name, place = re.search(r": (\w+ \w+) was born in (\w+) ", line).groups()
        assert name not in town
        town[name] = place
        teacher[name] = re.search(rf"was taught to {name} by (\w+ \w+)\.", line)[1]
    asked = re.search(r"was (the person who taught )?(\w+ \w+) born", row.question)
    assert len(set(town.values())) == len(town)
    return {town[teacher[asked[2]] if asked[1] else asked[2]]}


SOLVERS = {
    "passkey": solve_pass_key,
    "needle": solve_needles,
    "multikey": solve_needles,
    "only_needles": solve_needles,
    "multivalue": solve_needles,
    "multiquery": solve_needles,
    "variables": solve_variables,
    "common_words": solve_common_words,
    "frequent_words": solve_frequent_words,
    "one_hop": solve_people,
    "two_hops": solve_people,
}
COUNTS = {"multivalue": 4, "multiquery": 4, "variables": 5, "common_words": 10, "frequent_words": 3}


@pytest.mark.parametrize("name", TASKS)
def test_the_answer_stands_in_the_text_and_is_the_only_one(name):
    kind = name.rpartition("_")[0]
    for row in ROWS[name]:
        assert SOLVERS[kind](row) == set(row.answer), row.id
        assert len(row.answer) == len(set(row.answer)) == COUNTS.get(kind, 1)


@pytest.mark.parametrize("name", TASKS)
def test_a_right_reply_scores_one_in_each_metric_and_a_wrong_one_zero(name):
    task = TASKS[name]
    for row in ROWS[name]:
        asked = task.ask(row, (), REPORT)
        assert judge_story(row, asked, f" {', '.join(row.answer)}.").scores == {"acc": 1, "exact": 1}
        # The prompt itself, without its text, gives nothing away.
        told = asked.prompt.text().replace(row.context, "")
        assert judge_story(row, asked, told).scores == {"acc": 0, "exact": 0}
        assert judge_story(row, asked, "").scores == {"acc": 0, "exact": 0}


def test_there_is_a_solver_for_every_kind():
    assert set(SOLVERS) == {kind.name for kind in KINDS}


def test_half_of_the_values_is_half_a_point():
    row = ROWS["multivalue_4k"][0]
    asked = TASKS["multivalue_4k"].ask(row, (), REPORT)
    verdict = judge_story(row, asked, f"They are {row.answer[0]} and {row.answer[2]}, I think.")
    assert verdict.scores == {"acc": 0.5, "exact": 0}
    assert verdict.answer == f"{row.answer[0]}, {row.answer[2]}"


def test_a_number_inside_another_one_is_not_found():
    row = ROWS["passkey_1k"][0]
    (key,) = row.answer
    asked = TASKS["passkey_1k"].ask(row, (), REPORT)
    assert judge_story(row, asked, f" {key}.").scores["acc"] == 1
    assert judge_story(row, asked, f" 1{key}").scores["acc"] == 0
    assert judge_story(row, asked, f" {key}0").scores["acc"] == 0


@pytest.mark.parametrize("name", ["passkey_16k", "needle_16k"])
def test_what_is_hidden_lies_at_its_depth(name):
    for row, depth in zip(ROWS[name], (*DEPTHS, DEPTHS[0]), strict=True):
        at = row.context.index(row.answer[0]) / len(row.context)
        assert at == pytest.approx(depth, abs=0.02)
        assert row.subset == f"depth {depth:.0%}"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.has_depth], ids=lambda kind: kind.name)
def test_other_kinds_have_no_subsets(kind):
    assert {row.subset for row in ROWS[f"{kind.name}_1k"]} == {""}


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_rows_and_another_one_others(name):
    kind, _, size = name.rpartition("_")
    kinds = [each for each in KINDS if each.name == kind]
    lengths = [int(size[:-1]) * 1024]
    (same,) = long_context_tasks(lengths, items=2, seed=3, kinds=kinds)
    (other,) = long_context_tasks(lengths, items=2, seed=4, kinds=kinds)
    assert same.rows() == ROWS[name][:2]
    assert not {row.context for row in other.rows()} & {row.context for row in same.rows()}
    assert len({row.context for row in ROWS[name]}) == len({row.id for row in ROWS[name]}) == ITEMS


@pytest.mark.parametrize("name", TASKS)
def test_texts_fill_their_length_and_leave_a_margin(name):
    """Tokens are measured elsewhere (docstring of the module); here, that characters follow from the length alone."""
    kind = next(kind for kind in KINDS if kind.name == name.rpartition("_")[0])
    length = int(name.rpartition("_")[2][:-1]) * 1024
    for row in ROWS[name]:
        budget = (length - kind.max_tokens) * kind.characters_a_token
        assert 0.6 * budget < len(row.context) < budget
        asked = TASKS[name].ask(row, (), REPORT)
        assert len(asked.prompt.text()) - len(row.context) < 400
        assert asked.max_tokens == kind.max_tokens


def test_every_format_asks_about_the_same_text_and_begins_the_answer():
    row = ROWS["passkey_1k"][0]
    for form in FORMATS:
        asked = TASKS["passkey_1k"].ask(row, (), form)
        assert isinstance(asked, Written)
        assert row.context in asked.prompt.text()
        assert asked.prompt.text().endswith("The pass key is")
        assert [message.role for message in asked.prompt.messages()] == ["user", "assistant"]


def test_names_tell_kind_and_length():
    assert {task.name for task in LONG_CONTEXT} == {
        f"{kind}_{size}" for kind in SOLVERS for size in ("1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k")
    }
    assert len(LONG_CONTEXT) == len(KINDS) * len(LENGTHS)
    assert [task.name for task in long_context_tasks([5000], kinds=KINDS[:1])] == ["passkey_5000"]


def test_the_longest_length_can_be_written():
    for task in long_context_tasks([131072], items=1):
        (row,) = task.rows()
        assert SOLVERS[task.name.rpartition("_")[0]](row) == set(row.answer)


def test_a_length_that_is_too_short_is_an_error():
    with pytest.raises(UserError, match="1000 tokens is too short") as error:
        long_context_tasks([4096, 1000])
    assert "1024" in error.value.hint


def test_keys_are_never_the_same_when_written_together():
    nouns = haystack.NOUNS
    assert len({first + second for first in nouns for second in nouns}) == len(nouns) ** 2


def test_filler_has_no_sign_that_needles_have():
    text = " ".join(haystack.sentences(Random(0), 200_000))
    assert re.fullmatch(r"(?:[A-Z][a-z ]+\. ?)+", text)
