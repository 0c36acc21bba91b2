"""What is asked: the golden prompts, and lm-evaluation-harness' own templates as the oracle of the cloze group."""

import ast
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml

from eval.tasks.golden import GOLDEN, OURS, SAMPLES, files, questions, sampled
from pocketphi.eval.tasks.cloze import CLOZE
from pocketphi.eval.tasks.prompt import FORMATS
from pocketphi.eval.tasks.rows import Row, load_data
from pocketphi.eval.tasks.task import BenchTask, Choices

_BY_NAME = {task.name: task for task in OURS}


@pytest.mark.parametrize("name", files())
def test_prompts_are_the_golden_ones(name: str) -> None:
    """If that is meant: `PYTHONPATH=tests python -m eval.tasks.golden`, and a new version of the task."""
    assert files()[name] + "\n" == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("task", OURS, ids=lambda task: task.name)
def test_every_format_asks_for_the_same_answers(task: BenchTask) -> None:
    in_report = questions(sampled(task))
    for form in FORMATS:
        for name, each in questions(sampled(task), form).items():
            if isinstance(each, Choices):
                first = in_report[name]
                assert isinstance(first, Choices)
                assert [text.strip() for _, text in each.asked] == [text.strip() for _, text in first.asked]
                assert all(prompt.text()[-1:].isspace() != text[:1].isspace() for prompt, text in each.asked)


@pytest.mark.parametrize("name", ["phi3_mmlu", "phi3_boolq", "phi3_gpqa", "phi3_anli"])
def test_formats_differ_from_each_other(name: str) -> None:
    firsts = [next(iter(questions(sampled(_BY_NAME[name]), form).values())) for form in FORMATS]
    texts = {(each.asked[0][0] if isinstance(each, Choices) else each.prompt).text() for each in firsts}
    assert len(texts) == len(FORMATS)


def test_examples_in_chat_are_turns_of_the_assistant() -> None:
    asked = next(iter(questions(sampled(_BY_NAME["phi3_mmlu"])).values()))
    assert isinstance(asked, Choices)
    messages = asked.asked[0][0].messages()
    assert [message.role for message in messages] == ["user", "assistant"] * 3
    assert messages[0].content.startswith("The following are multiple choice questions about easy astronomy.")
    assert [message.content for message in messages[1::2]] == ["Answer: C", "Answer: B", "Answer:"]


_FOLDERS = {
    "hellaswag": "hellaswag/hellaswag.yaml",
    "piqa": "piqa/piqa.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_easy.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "siqa": "siqa/siqa.yaml",
    "commonsense_qa": "commonsense_qa/default.yaml",
}
_ORIGINAL = {
    # HellaSwag's rows as they are published: the context in two halves.
    "hellaswag/test_a/1": ("Peeling potatoes", "A man stands at a sink. He takes a potato from a bowl.", "the man"),
    "hellaswag/test_a/2": ("Home and Garden", "How to oil a hinge. Open the door wide. Put a rag under the hinge.", ""),
    "hellaswag/test_a/3": ("Rowing", "Two women carry a boat to the water.", "they"),
    "hellaswag/test_a/4": ("Pets and Animals", "How to brush a cat [title] Wait until it sleeps", ""),
}


@pytest.mark.parametrize("task", [task for task in CLOZE if task.file in _FOLDERS], ids=lambda task: task.name)
def test_cloze_prompts_are_those_of_the_harness(task: BenchTask) -> None:
    config = _config(_FOLDERS[task.file])
    asked = questions(task)
    for row in load_data(SAMPLES, task.file).test:
        doc = _doc(task.file, row)
        text = _rendered(config["doc_to_text"], doc)
        gap = config.get("target_delimiter", " ")
        expected = [(text, gap + choice) for choice in _choices(config["doc_to_choice"], doc)]
        ours = asked[row.id]
        assert isinstance(ours, Choices)
        assert [(prompt.text(), continuation) for prompt, continuation in ours.asked] == expected


def test_the_cloze_of_winogrande_is_that_of_the_harness() -> None:
    (task,) = [task for task in CLOZE if task.file == "winogrande"]
    harness = _module("winogrande/preprocess_winogrande.py")
    asked = questions(task)
    for row in load_data(SAMPLES, "winogrande").test:
        doc = {"sentence": row.question, "option1": row.choices[0], "option2": row.choices[1], "answer": "1"}
        expected = [(context, " " + harness.doc_to_target(doc)) for context in harness.doc_to_choice(doc)]
        ours = asked[row.id]
        assert isinstance(ours, Choices)
        assert [(prompt.text(), continuation) for prompt, continuation in ours.asked] == expected


def _doc(file: str, row: Row) -> dict[str, Any]:
    """A row as the harness' data set has it."""
    if file == "hellaswag":
        label, first, second = _ORIGINAL[row.id]
        cleaned = _module("hellaswag/utils.py").preprocess
        return {
            "query": cleaned(f"{label}: {first} {second.capitalize()}"),
            "choices": [cleaned(choice) for choice in row.choices],
        }
    scene, _, asks = row.question.rpartition(". ")
    siqa = {"context": f"{scene}.", "question": asks} if file == "siqa" else {}
    return {
        "question": row.question.removesuffix("?") if file == "boolq" else row.question,
        "question_stem": row.question,
        "passage": row.context,
        "goal": row.question,
        "choices": {"text": list(row.choices)},
        **{f"sol{number}": choice for number, choice in enumerate(row.choices, 1)},
        **{f"answer{letter}": choice for letter, choice in zip("ABC", row.choices, strict=False)},
        **siqa,
    }


def _rendered(template: str, doc: Mapping[str, Any]) -> str:
    if template in doc:
        return str(doc[template])
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(**doc)


def _choices(template: str | Sequence[str], doc: Mapping[str, Any]) -> list[str]:
    if not isinstance(template, str):
        return list(template)
    found = doc[template] if template in doc else ast.literal_eval(_rendered(template, doc))
    return list(found)


class _Loader(yaml.SafeLoader):
    """Reads `!function` as text."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def _config(path: str) -> dict[str, Any]:
    found = yaml.load((_harness() / path).read_text(encoding="utf-8"), Loader=_Loader)
    assert isinstance(found, dict)
    return found


def _harness() -> Path:
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "tasks"


@cache
def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("harness_task", _harness() / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
