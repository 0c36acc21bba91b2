"""A run directory as `pocketphi make` leaves it, with invented figures: nothing is trained.

Texts that come from pages and models are as hostile as `HOSTILE`.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from pocketphi.artifact import Artifact, open_artifact, publish

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \u202eevil\x07 http://evil.example/x.js"
TOPICS = (
    "addition", "word_problems", "money", "time", "units", "ordering", "logic", "family",
    "cause_and_effect", "science", "stories", "python", "korean",
)  # fmt: skip
DROPPED = {
    "read": {"not gzip": 12}, "text": {"no text": 136}, "language": {"de": 1410, "fr": 700, "unsure": 300},
    "rules": {"few stop words": 1032, "symbols": 312, "lorem ipsum": 96, "short lines": 1204, "repetition": 870},
    "personal data": {"too much": 133}, "education": {"below 2": 3020}, "held-out questions": {"13 words": 61},
    "exact duplicates": {"the same text": 1920}, "near duplicates": {"similar": 2204},
}  # fmt: skip
ACCURACY = {"phase1": 0.11, "phase2": 0.58, "sft": 0.69, "dpo": 0.72, "model": 0.715}


def make_run(run: Path, *, until: str = "model", seed: int = 1) -> Path:
    """Write the stages up to `until`, in order."""
    run.mkdir(parents=True, exist_ok=True)
    recipe = {
        "name": "nano",
        "seed": 1,
        "model": {"hidden_size": 128, "num_hidden_layers": 4},
        "pretrain": {"phase1": {"mixture": {"web": 1.0}, "learning_rate": 0.004}, "phase2": {"max_tokens": 3_500_000}},
        "sft": {"epochs": 2},
    }
    (run / "recipe.json").write_text(json.dumps(recipe))
    rng = Random(seed)
    made: dict[str, Artifact] = {}
    for name in ("primer", "corpus", "tokenizer", "shards", "phase1", "phase2", "sft", "dpo", "model"):
        parents = [made[parent] for parent in PARENTS[name] if parent in made]
        stage = {"phase1": "pretrain.phase1", "phase2": "pretrain.phase2", "model": "quantize"}.get(name, name)
        settings = {"learning_rate": 0.004, "note": HOSTILE}
        with publish(run / name, kind=KINDS[name], stage=stage, settings=settings, seed=1, parents=parents) as draft:
            FILL[name](draft.path, draft.summary, draft.measured, rng)
        take(run / name, SECONDS[name])
        made[name] = open_artifact(run / name)
        if name in ACCURACY:
            evaluate(run / f"evaluation-{name}", ACCURACY[name], [made[name], made["primer"]], rng)
        if name == until:
            break
    return run


PARENTS = {
    "primer": (), "corpus": ("primer",), "tokenizer": ("corpus",), "shards": ("corpus", "primer", "tokenizer"),
    "phase1": ("shards", "tokenizer"), "phase2": ("shards", "tokenizer", "phase1"), "sft": ("phase2", "primer"),
    "dpo": ("sft", "primer"), "model": ("dpo",),
}  # fmt: skip
KINDS = dict.fromkeys(("phase1", "phase2", "sft", "dpo"), "checkpoint") | {
    name: name for name in ("primer", "corpus", "tokenizer", "shards", "model")
}


SECONDS = {
    "primer": 71.0, "corpus": 96.4, "tokenizer": 8.2, "shards": 12.9, "phase1": 148.0, "phase2": 207.5, "sft": 92.0,
    "dpo": 38.1, "model": 2.4,
}  # fmt: skip


def take(directory: Path, seconds: float) -> None:
    """Let an artifact have taken so long: no digest covers that."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["measured"]["seconds"] = seconds
    path.write_text(json.dumps(manifest))


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def primer(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
    (path / "web").mkdir()
    (path / "web" / "0.warc.gz").write_bytes(bytes(50_000))
    kinds = {"good": ("lesson", "story", "recipe", "how_to"), "junk": ("spam", "listing", "near_duplicate", "adverts")}
    lines(
        path / "labels.jsonl",
        (
            {"id": url(kind, i), "label": label, "kind": kind}
            for label in kinds
            for kind in kinds[label]
            for i in range(40)
        ),
    )

    questions = [
        {"id": f"q{i}", "topic": TOPICS[i % 3], "tier": tier, "question": f"What is {i} + 1?", "answer": str(i + 1)}
        for i, tier in enumerate(["known_templates", "new_templates"] * 6)
    ]
    lines(path / "questions.jsonl", questions)
    talk = [{"role": "user", "content": "What is 1 + 1?"}, {"role": "assistant", "content": "1 + 1 = 2\nAnswer: 2"}]
    lines(path / "conversations.jsonl", [{"messages": talk}] * 3)
    lesson = {
        "id": "l",
        "text": "One and one is 2.\nAnswer: 2",
        "source": "primer",
        "license": "CC0-1.0",
        "metadata": {},
    }
    lines(path / "lessons.jsonl", [lesson])


def url(kind: str, index: int) -> str:
    return f"http://pages.example/{kind}/{index}"


def corpus(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
    left = 8720 + sum(sum(reasons.values()) for reasons in DROPPED.values())
    summary["funnel"] = []
    for step, reasons in DROPPED.items():
        dropped = sum(reasons.values())
        left -= dropped
        sizes = {"kept_bytes": left * 1060, "dropped_bytes": dropped * 1060}
        summary["funnel"].append({"step": step, "kept": left, "dropped": dropped, "reasons": reasons, **sizes})
    summary["parts"] = {"web": 6104, "web_best": 2616, "lessons": 9000}
    kept = [url(kind, i) for kind in ("lesson", "story", "recipe") for i in range(39)] + [url("spam", 3)]
    lines(path / "web.jsonl", ({"id": "x", "text": "", "source": source} for source in kept))
    lines(path / "web_best.jsonl", ({"id": "x", "text": "", "source": url("how_to", i)} for i in range(36)))
    lines(
        path / "dropped_samples.jsonl",
        (
            {
                "id": f"{step}-{reason}-{i}",
                "text": f"{HOSTILE}\nWin a free prize! " * 8,
                "source": f"http://pages.example/{i}",
                "license": "Apache-2.0",
                "metadata": {"step": step, "reason": reason},
            }
            for step, reasons in DROPPED.items()
            for reason in reasons
            for i in range(3)
        ),
    )


def tokenizer(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
    summary.update(vocab_size=1024, documents=17_000, bytes=20_000_000)


def shards(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
    summary["parts"] = {
        "web": {"documents": 6104, "tokens": 2_100_000, "bytes": 6_500_000},
        "web_best": {"documents": 2616, "tokens": 900_000, "bytes": 2_900_000},
        "lessons": {"documents": 9000, "tokens": 2_700_000, "bytes": 8_000_000},
        "validation": {"documents": 200, "tokens": 60_000, "bytes": 180_000},
    }


def phase(steps: int, start: float, end: float, data: Mapping[str, int]) -> Any:
    def fill(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
        rows = []
        for step in range(1, steps + 1):
            part = step / steps
            rate = 4e-3 * min(step / 20, 1.0) * min(1.0, (1.02 - part) / 0.2)
            loss = end + (start - end) * math.exp(-5 * part) + rng.gauss(0, 0.05)
            rows.append({"step": step, "tokens": step * 8192, "loss": loss, "learning_rate": rate, "grad_norm": 1.0})
        lines(path / "metrics.jsonl", rows)
        total = sum(data.values()) or 1
        summary.update(steps=steps, tokens=steps * 8192, parameters=917_632, last=rows[-1])
        if data:
            summary["data"] = {
                part: {"share": tokens / total, "tokens": tokens, "epochs": 1.2} for part, tokens in data.items()
            }
        else:
            summary["conversations"] = 8000
        measured.update(train_seconds=steps * 0.42, tokens_per_second=19_000.0)

    return fill


def preferences(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
    rows = []
    for step in range(1, 126):
        part = step / 125
        row = {"step": step, "tokens": step * 4000, "loss": 0.69 - 0.5 * part, "learning_rate": 1e-4 * (1.05 - part)}
        row |= {"chosen_reward": 0.6 * part + rng.gauss(0, 0.05), "rejected_reward": -1.8 * part + rng.gauss(0, 0.08)}
        rows.append({**row, "accuracy": 0.5 + 0.45 * part})
    lines(path / "metrics.jsonl", rows)
    summary.update(steps=125, tokens=500_000, parameters=917_632, pairs=2000, dropped=3)
    measured.update(train_seconds=31.0, tokens_per_second=16_000.0)


def packed(path: Path, summary: dict[str, Any], measured: dict[str, Any], rng: Random) -> None:
    (path / "model.pocket").write_bytes(bytes(620_000))
    summary.update(bits_per_weight=5.3, embedding_bits=8, divergence=0.0123)


FILL = {
    "primer": primer,
    "corpus": corpus,
    "tokenizer": tokenizer,
    "shards": shards,
    "phase1": phase(306, 6.9, 1.5, {"web": 2_500_000}),
    "phase2": phase(428, 2.2, 0.62, {"web_best": 700_000, "lessons": 2_800_000}),
    "sft": phase(210, 0.9, 0.35, {}),
    "dpo": preferences,
    "model": packed,
}


def score(accuracy: float, count: int) -> dict[str, float]:
    right = round(accuracy * count)
    accuracy = right / count
    error = math.sqrt(accuracy * (1 - accuracy) / count)
    return {"accuracy": accuracy, "standard_error": error, "right": right, "count": count}


def evaluate(out: Path, accuracy: float, parents: list[Artifact], rng: Random) -> None:
    """What `eval.questions.evaluate` publishes."""
    tiers = {"known_templates": accuracy, "new_templates": accuracy * 0.6}
    topics = {
        tier: {topic: score(min(max(rng.gauss(value, 0.15), 0.0), 1.0), 25) for topic in TOPICS}
        for tier, value in tiers.items()
    }
    figures = {
        "accuracy": accuracy * 0.8, "standard_error": 0.016, "ended_fraction": 0.997, "answered_fraction": 0.99,
        "tokens_per_answer": 41.5, "bits_per_byte": 0.41, "perplexity": 1.9,
    }  # fmt: skip
    results = {
        "form": "document" if "phase" in out.name else "chat",
        "figures": figures,
        "all": score(accuracy * 0.8, 600),
        "tiers": {tier: score(value, 300) for tier, value in tiers.items()},
        "topics": topics,
        "lessons": None,
    }
    samples = []
    for index in range(60):
        topic, right = TOPICS[index % len(TOPICS)], rng.random() < accuracy
        total = 17 + index
        samples.append(
            {
                "id": f"q{index}",
                "topic": topic,
                "tier": ("known_templates", "new_templates")[index % 2],
                "question": f"Marlo keeps {index} shells in a tin and finds 17 more on the beach. "
                f"How many shells does Marlo have now? {HOSTILE if index == 5 else ''}",
                "expected": str(total),
                "written": f"Marlo starts with {index} shells. Marlo finds 17 more shells.\n"
                f"{index} + 17 = {total if right else total + 9}\nAnswer: {total if right else total + 9}",
                "answer": str(total if right else total + 9),
                "is_correct": right,
                "stop_reason": "end",
                "num_tokens": 41,
                "ended": index != 9,
            }
        )
    with publish(
        out, kind="evaluation", stage="evaluate", settings={"num_questions": 300, "max_new_tokens": 16}, parents=parents
    ) as draft:
        (draft.path / "results.json").write_text(json.dumps(results), encoding="utf-8")
        lines(draft.path / "samples.jsonl", samples)
        draft.measured["tokens_per_second"] = 23_000.0 if out.name == "evaluation-model" else 3_700.0
    take(out, 4.1 if out.name == "evaluation-model" else 11.7)
