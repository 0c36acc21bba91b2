"""Is it the data? Four arms over several seeds, in one picture.

    python benchmarks/claim.py --nano runs/nano-1 runs/nano-2 runs/nano-3 \\
        --raw runs/nano-raw-1 runs/nano-raw-2 runs/nano-raw-3 \\
        --continued runs/nano-continued-1 runs/nano-continued-2 runs/nano-continued-3 \\
        --out benchmarks/results/claim.json

All arms have the same model, the same number of tokens, the same SFT and DPO: `nano` reads filtered pages, then
the best of them with lessons; `raw` (recipes/nano-raw.toml) reads unfiltered pages only; `continued` goes on with
filtered pages where nano has phase 2 (`--set 'pretrain.phase2.mixture={ web = 1.0 }'`). The baselines are learnt
from nano's own lessons and conversations and answer the same questions.

A mean's standard error is the larger of two: over the seeds, and that of as many coin flips as there were
questions, because three seeds alone say little about their spread. Prints JSON: means, standard errors, ratios and
the bars of the claim with what was reached; writes it to `--out`, with a picture beside it.
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pocketphi.artifact import open_artifact
from pocketphi.data.records import Question, read_conversations, read_documents, read_questions
from pocketphi.errors import UserError
from pocketphi.eval.baselines import MostFrequentAnswer, NGramModel, conversation_text
from pocketphi.eval.compare import over_seeds
from pocketphi.eval.questions import ask, choose, score
from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.pictures import standalone
from pocketphi.runtime.backend import Backend

TIERS = {"known_templates": "told in known sentences", "new_templates": "told in new sentences"}
NANO, CONTINUED, RAW = "nano", "phase 1 continued", "raw pages only"
FREQUENT, FIVE_GRAM = "most frequent answer", "5-gram"
LEVELS = {"known_templates": 0.65, "new_templates": 0.35}
"""What nano has to reach."""
RATIO, SIGMAS = 1.5, 3.0
"""By which nano has to beat raw pages, and how surely."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Accuracy of an arm on one tier."""

    accuracy: float
    standard_error: float
    seeds: tuple[float, ...]
    questions: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nano", type=Path, nargs="+", required=True, help="run directories, one a seed")
    parser.add_argument("--raw", type=Path, nargs="+", default=[], help="the same of nano-raw")
    parser.add_argument("--continued", type=Path, nargs="+", default=[], help="the same with phase 1 continued")
    parser.add_argument(
        "--stage", default="dpo", help="what is compared: `dpo` (16 bits), `model` (4 bits), `phase2`, ..."
    )
    parser.add_argument(
        "--no-baselines", action="store_true", help="leave the baselines out: they take a minute a seed"
    )
    parser.add_argument("--out", type=Path, help="where the JSON goes; the picture gets the same name with `.svg`")
    options = parser.parse_args()
    try:
        report = measure(options)
    except UserError as error:
        parser.exit(1, f"error: {error}\n")
    text = json.dumps(report, indent=1)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")
        options.out.with_suffix(".svg").write_text(picture(report), encoding="utf-8")


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Everything that is printed."""
    arms = {
        name: [accuracies(run, options.stage) for run in runs]
        for name, runs in ((NANO, options.nano), (CONTINUED, options.continued), (RAW, options.raw))
        if runs
    }
    if not options.no_baselines:
        found = [baselines(run, options.stage) for run in options.nano]
        arms |= {name: [of_run[name] for of_run in found] for name in (FIVE_GRAM, FREQUENT)}
    means = {name: {tier: mean([run[tier] for run in runs]) for tier in TIERS} for name, runs in arms.items()}
    return {
        "command": "python benchmarks/claim.py ...",
        "stage": options.stage,
        "arms": {name: {tier: vars(value) for tier, value in tiers.items()} for name, tiers in means.items()},
        "ratios": {
            name: {tier: ratio(means[NANO][tier], value) for tier, value in tiers.items()}
            for name, tiers in means.items()
            if name != NANO
        },
        "bars": list(bars_of_the_claim(means)),
    }


def accuracies(run: Path, stage: str) -> dict[str, tuple[float, int]]:
    """Tier -> accuracy and number of questions, as `evaluate` found them."""
    evaluation = open_artifact(run / f"evaluation-{stage}", "evaluation")
    tiers = json.loads((evaluation.path / "results.json").read_text(encoding="utf-8"))["tiers"]
    missing = [tier for tier in TIERS if tier not in tiers]
    if missing:
        raise UserError(f"`{evaluation.path}` has no questions of the tier `{missing[0]}`")
    return {tier: (tiers[tier]["accuracy"], tiers[tier]["count"]) for tier in TIERS}


def baselines(run: Path, stage: str) -> dict[str, dict[str, tuple[float, int]]]:
    """What takes no model, on the questions that the run was asked."""
    settings = open_artifact(run / f"evaluation-{stage}", "evaluation").manifest["settings"]
    primer = open_artifact(run / "primer", "primer").path
    asked = choose(read_questions(primer / "questions.jsonl"), settings["num_questions"])
    conversations = list(read_conversations(primer / "conversations.jsonl"))
    lessons = (document.text for document in read_documents(primer / "lessons.jsonl"))
    texts = [*lessons, *(conversation_text(conversation) for conversation in conversations)]
    backends: dict[str, Backend] = {
        FIVE_GRAM: NGramModel.learn(texts),
        FREQUENT: MostFrequentAnswer.learn(conversations, asked),
    }
    return {name: answered(backend, asked, settings["max_new_tokens"]) for name, backend in backends.items()}


def answered(backend: Backend, asked: Sequence[Question], max_tokens: int) -> dict[str, tuple[float, int]]:
    samples = ask(backend, asked, form="chat", max_tokens=max_tokens)
    of_tier = {tier: score(sample for sample in samples if sample.tier == tier) for tier in TIERS}
    return {tier: (found.accuracy, found.count) for tier, found in of_tier.items()}


def mean(runs: Sequence[tuple[float, int]]) -> Mean:
    """Over seeds."""
    seeds = tuple(accuracy for accuracy, _ in runs)
    questions = sum(count for _, count in runs)
    accuracy = fmean(seeds)
    by_chance = math.sqrt(accuracy * (1 - accuracy) / questions)
    error = max(over_seeds(seeds).standard_error or 0.0, by_chance)
    return Mean(accuracy=accuracy, standard_error=error, seeds=seeds, questions=questions)


def ratio(nano: Mean, other: Mean) -> dict[str, float | None]:
    """How many times as often nano is right, and by how many standard errors it is better."""
    error = math.hypot(nano.standard_error, other.standard_error)
    times = nano.accuracy / other.accuracy if other.accuracy else None
    relative = math.hypot(
        nano.standard_error / nano.accuracy if nano.accuracy else 0.0,
        other.standard_error / other.accuracy if times else 0.0,
    )
    return {
        "ratio": times,
        "standard_error": None if times is None else times * relative,
        "difference": nano.accuracy - other.accuracy,
        "standard_errors_apart": (nano.accuracy - other.accuracy) / error if error else None,
    }


def bars_of_the_claim(means: Mapping[str, Mapping[str, Mean]]) -> Iterable[dict[str, object]]:
    """Each bar with what was reached."""
    for tier, title in TIERS.items():
        nano = means[NANO][tier]
        yield {
            "bar": f"nano, {title}",
            "needed": LEVELS[tier],
            "reached": nano.accuracy,
            "met": nano.accuracy >= LEVELS[tier],
        }
        for name, tiers in means.items():
            if name == NANO:
                continue
            found = ratio(nano, tiers[tier])
            apart = found["standard_errors_apart"]
            surely = apart is not None and apart > (SIGMAS if name == RAW else 0.0)
            times = found["ratio"]
            needed = RATIO if name == RAW else 1.0
            yield {
                "bar": f"nano against {name}, {title}",
                "needed": f"{needed}x" + (f", {SIGMAS:g} standard errors apart" if name == RAW else ""),
                "reached": times,
                "standard_errors_apart": apart,
                "met": surely and (times is None or times >= needed),
            }


def picture(report: Mapping[str, object]) -> str:
    """All arms on both tiers: the mean as a bar with two standard errors, every seed as a dot, nano's bars dashed."""
    arms: Mapping[str, Mapping[str, Mapping[str, float]]] = report["arms"]  # type: ignore[assignment]
    colours = {NANO: "f2", CONTINUED: "f1", RAW: "f5", FIVE_GRAM: "f6", FREQUENT: "f6"}
    width, left, right, row = 820.0, 160.0, 130.0, 34.0
    room = width - left - right
    content: list[Child] = []
    y = 0.0
    for tier, title in TIERS.items():
        content.append(svg.text(left, y + 13, f"held-out questions {title}: right answers", "axis"))
        top = y + 40
        bottom = top + row * len(arms)
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = left + room * tick
            content += [svg.rule(x, top, x, bottom), svg.text(x, bottom + 14, f"{100 * tick:.0f} %", "tick", "middle")]
        for index, (name, tiers) in enumerate(arms.items()):
            value = tiers[tier]
            at, middle = left + room * value["accuracy"], top + row * (index + 0.5)
            reach = room * 2 * value["standard_error"]
            said = f"{100 * value['accuracy']:.1f} % ± {100 * value['standard_error']:.1f}"
            content.append(svg.text(left - 10, middle + 4, name, anchor="end"))
            content.append(svg.block(left, middle - 9, at - left, 18, colours[name], f"{name}: {said}"))
            content.append(svg.whisker(max(at - reach, left), middle, min(at + reach, left + room), middle))
            content += [
                tag(
                    "circle",
                    tag("title", f"a seed: {100 * seed:.1f} %"),
                    cx=left + room * seed,
                    cy=middle,
                    r=3,
                    class_="seed",
                )
                for seed in value["seeds"]  # type: ignore[attr-defined]
            ]
            content.append(svg.text(left + room + 14, middle + 4, said, "value"))
        goal = left + room * LEVELS[tier]
        content.append(svg.rule(goal, top - 3, goal, bottom, "baseline"))
        content.append(svg.text(goal, top - 8, f"nano's bar, {100 * LEVELS[tier]:.0f} %", "tick", "middle"))
        y = bottom + 40
    told = ". ".join(
        f"{title}: " + ", ".join(f"{name} {100 * tiers[tier]['accuracy']:.0f} %" for name, tiers in arms.items())
        for tier, title in TIERS.items()
    )
    caption = "Same model, tokens, SFT and DPO. Bars: means over seeds, with two standard errors. Dots: seeds."
    content.append(svg.text(0, y, caption, "tick"))
    return standalone(svg.Drawing(width, y + 6, content), f"Accuracy of all arms. {told}.")


if __name__ == "__main__":
    main()
