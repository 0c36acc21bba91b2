"""Runs of `pocketphi eval` as it leaves them, with invented figures: no model is asked.

Every text that comes from data or a model holds `HOSTILE`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from eval.made_run import HOSTILE
from pocketphi.eval.results import Item, Results, Score, TaskResult, write_items, write_results
from pocketphi.eval.statistics import scores_of

CHOICE = {
    "phi3_mmlu": 4, "phi3_hellaswag": 4, "phi3_arc_challenge": 4, "phi3_arc_easy": 4, "phi3_piqa": 2, "phi3_boolq": 2,
    "phi3_winogrande": 2, "phi3_commonsense_qa": 5,
}  # fmt: skip
WRITTEN = ("phi3_gsm8k", "phi3_triviaqa")
SUBJECTS = (
    "abstract_algebra", "anatomy", "astronomy", "business_ethics", "college_biology", "college_physics", "econometrics",
    "formal_logic", "global_facts", "high_school_statistics", "international_law", "marketing", "moral_scenarios",
    "nutrition", "philosophy", "professional_accounting", "sociology", "virology", "world_religions",
)  # fmt: skip
WORDS = (
    "river",
    "stone",
    "light",
    "answer",
    "because",
    "seven",
    "paper",
    "north",
    "green",
    "often",
    "carbon",
    "window",
)


def make_scores(
    folder: Path,
    *,
    count: int = 120,
    ability: float = 0.5,
    seed: int = 1,
    name: str = "tiny-135m",
    hostile: bool = True,
) -> Path:
    """Write results and items. Runs that differ in `ability` alone have the same items."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for index, task in enumerate((*CHOICE, *WRITTEN, "extra_cloze")):
        rng = Random(f"{seed}/{index}")
        metric = "acc" if task != "extra_cloze" else "acc_norm"
        made = [_item(task, number, ability, rng, hostile=hostile) for number in range(count)]
        tasks[task] = _task(task, metric, made)
        write_items(folder, task, made)
    tasks["phi3_medqa"] = _task("phi3_medqa", "acc", [], note="`medqa.test_a.jsonl.gz` is missing")
    texts = [replace(item, scores={"word_perplexity": 18.2 + index}) for index, item in enumerate(made[:3])]
    write_items(folder, "wikitext", texts)
    tasks["wikitext"] = TaskResult(
        name="wikitext", title="WikiText", version=2, metric="word_perplexity", shots=0, form="report", chance=None,
        prompts_digest="c" * 64, files={}, subsets={},
        scores={"word_perplexity": Score(value=18.2, standard_error=0.4, low=17.4, high=19.0, count=62)},
    )  # fmt: skip
    model = {"name": name, "digest": "ab" * 32, "backend": "native", "context": 2048, "chat": False}
    code = {"pocketphi": "0.1.0", "lm_eval": "0.4.9"}
    write_results(folder, Results(model=model, code=code, settings={"limit": count, "seed": seed}, tasks=tasks))
    return folder


def _task(name: str, metric: str, items: Sequence[Item], note: str = "") -> TaskResult:
    by_subset: dict[str, list[Item]] = {}
    for item in items:
        by_subset.setdefault(item.subset, []).append(item)
    scores = scores_of(items)
    own = scores[metric].value if metric in scores else 0.0
    forms = {
        form: min(max(own + shift, 0.0), 1.0) for form, shift in (("report", 0.0), ("short", -0.04), ("bare", -0.11))
    }
    seen = items[::12]
    return TaskResult(
        name=name,
        title={"phi3_mmlu": "MMLU", "phi3_gsm8k": "GSM8K", "phi3_hellaswag": "HellaSwag"}.get(
            name, name.removeprefix("phi3_")
        ),
        version=1,
        metric=metric,
        shots=10 if name == "phi3_piqa" else 5,
        form="report",
        chance=1 / CHOICE[name] if name in CHOICE else None,
        prompts_digest="d" * 64,
        files={f"{name.removeprefix('phi3_')}.test_a.jsonl.gz": "e" * 64},
        scores=scores,
        subsets={key: scores_of(each) for key, each in by_subset.items()} if len(by_subset) > 1 else {},
        formats=forms if name in {"phi3_mmlu", "phi3_piqa", "phi3_boolq"} else {},
        contamination=_found(metric, items, seen) if name in {"phi3_mmlu", "phi3_gsm8k"} else {},
        note=note,
    )


def _found(metric: str, items: Sequence[Item], seen: Sequence[Item]) -> Mapping[str, object]:
    ids = {item.id for item in seen}
    parts = {"all": items, "dirty": seen, "clean": [item for item in items if item.id not in ids]}
    of = {part: scores_of(each)[metric] for part, each in parts.items()}
    told = {part: {"value": score.value, "standard_error": score.standard_error} for part, score in of.items()}
    return {"13 words in a row": {"count": len(items), "dirty_count": len(seen), **told}}


def _item(task: str, number: int, ability: float, rng: Random, *, hostile: bool) -> Item:
    end = f" {HOSTILE}" if hostile else ""
    words = " ".join(rng.choice(WORDS) for _ in range(14))
    question = f"Question: {words}? ({number}){end}\n\nmore"
    size = CHOICE.get(task, 0)
    subset = SUBJECTS[number % len(SUBJECTS)] if task == "phi3_mmlu" else ""
    draw, noise = rng.random(), [rng.gauss(0, 1) for _ in range(6)]
    common = {
        "id": f"{task}/{number}",
        "subset": subset,
        "cluster": f"{task}/{number}",
        "prompt_digest": f"{number:064x}",
    }
    if size:
        right = rng.randrange(size)
        raw = [noise[i] + (2.4 * ability if i == right else 0.0) for i in range(size)]
        odds = [math.exp(1.6 * value) for value in raw]
        probabilities = tuple(value / sum(odds) for value in odds)
        said = max(range(size), key=probabilities.__getitem__)
        return Item(
            **common, question=question, choices=tuple(f"{rng.choice(WORDS)} {i}{end}" for i in range(size)),
            expected="ABCDE"[right], answer="ABCDE"[said], written="", logprobs=tuple(raw), probabilities=probabilities,
            scores={"acc": float(right == said)},
        )  # fmt: skip
    is_right = float(draw < ability * 0.7)
    written = f"{' '.join(rng.choice(WORDS) for _ in range(rng.randrange(4, 130)))}{end} The answer is {number}."
    metric = "acc_norm" if task == "extra_cloze" else "acc"
    return Item(
        **common, question=question, choices=(), expected=str(number), answer=str(number if is_right else number + 1),
        written=written, logprobs=(), probabilities=(), scores={metric: is_right},
    )  # fmt: skip
