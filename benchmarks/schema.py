"""Do answers keep to random JSON schemas, do they come to an end, and what does that cost per token?

    python benchmarks/schema.py smollm2.pocket --out benchmarks/results/schema.json

Schemas are `tests/random_schemas.py`'s, by number; what a grammar cannot keep to is refused by name, counted, and
replaced by the next one. Each is asked for in a conversation, schema and all, as a client would with
`response_format`. An answer *finishes* if it is a whole text of its grammar within `--max-tokens`, and is *valid* if
`jsonschema` says so, for numbers as they are written, in decimals; `valid_as_doubles` is what a reader finds who rounds
them, for whom -23.0000000000000000001 is not below -23.

Cost: the same prompts with and without grammar, in turn, as many tokens each, for one answer at a time and for eight
at once; times are from the first token to the last. A claim is the median of the ratios within a round.
"""

import argparse
import contextlib
import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from pocketphi.chat import Message, render
from pocketphi.errors import UserError
from pocketphi.formats.pocket import open_pocket
from pocketphi.runtime.grammar.compiler import CompiledGrammar, GrammarCompiler
from pocketphi.runtime.model import Model
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.scheduler.job import Job, Piece
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.runtime.writer import StopReason
from random_schemas import Schema, random_schema

PARALLEL = 8
ROUND_TOKENS = 128


@dataclass
class Answer:
    """One answer, as its pieces tell it."""

    text: str = ""
    num_tokens: int = 0
    reason: StopReason | None = None
    error: str | None = None
    first: float = 0.0
    last: float = 0.0


@dataclass(frozen=True)
class Case:
    number: int
    schema: Schema
    grammar: CompiledGrammar
    job: Job


def main() -> None:
    options = _options()
    with (
        Model(open_pocket(options.model), threads=options.threads, context=4096) as model,
        Scheduler(model, parallel=PARALLEL, max_waiting=100_000) as scheduler,
    ):
        cases, refused = _cases(model, options)
        start = time.perf_counter()
        answers = _ask(scheduler, [case.job for case in cases])
        seconds = time.perf_counter() - start
        found = [_judged(case, answer) for case, answer in zip(cases, answers, strict=True)]
        rounds = _rounds(scheduler, cases, options)
    finished = [line for line in found if line["finished"]]
    report: dict[str, Any] = {
        "what": f"{len(cases)} random JSON schemas, at most {options.max_tokens} tokens, "
        f"temperature {options.temperature}",
        "model": options.model.name,
        "claims": {
            "finished": len(finished) / len(found),
            "valid_of_finished": sum(line["valid"] for line in finished) / len(finished),
            "valid_as_doubles": sum(line["valid_as_doubles"] for line in finished) / len(finished),
            "seconds_per_token_over_free_text": {
                str(parallel): round(statistics.median(line[f"ratio_{parallel}"] for line in rounds), 4)
                for parallel in (1, PARALLEL)
            },
        },
        "refused": refused,
        "tokens": sum(answer.num_tokens for answer in answers),
        "seconds": round(seconds, 1),
        "unfinished": [line for line in found if not line["finished"]],
        "invalid": [line for line in finished if not (line["valid"] and line["valid_as_doubles"])],
        "rounds": rounds,
    }
    print(json.dumps({key: value for key, value in report.items() if key != "rounds"}, indent=1, ensure_ascii=False))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _cases(model: Model, options: argparse.Namespace) -> tuple[list[Case], dict[str, int]]:
    """So many schemas that grammars keep to, and why others were refused."""
    compiler = GrammarCompiler(model.tokenizer, model.config.vocab_size)
    cases: list[Case] = []
    refused: Counter[str] = Counter()
    number = options.seed
    while len(cases) < options.schemas:
        schema = random_schema(number)
        try:
            grammar = compiler.json_schema(schema, closes=not options.open)
        except UserError as error:
            refused[error.message] += 1
        else:
            asked = f"Make up an example. Answer in JSON that keeps to this JSON schema:\n{json.dumps(schema)}"
            segments = render(model.template, [Message("user", asked)])
            job = Job(
                prompt=tuple(model.tokenizer.encode_segments(segments)),
                max_tokens=options.max_tokens,
                sampling=SamplingOptions(temperature=options.temperature, top_p=0.9, seed=number),
                stop_ids=model.stop_ids(model.template),
                grammar=grammar,
            )
            cases.append(Case(number, schema, grammar, job))
        number += 1
    return cases, dict(refused)


def _ask(scheduler: Scheduler, jobs: Sequence[Job]) -> list[Answer]:
    """All at once, as many as the scheduler runs."""
    answers = [Answer() for _ in jobs]
    left = threading.Semaphore(0)

    def hear(answer: Answer, piece: Piece) -> None:
        answer.last = time.perf_counter()
        answer.first = answer.first or answer.last
        answer.text += piece.text
        answer.num_tokens += len(piece.tokens)
        if piece.is_last:
            answer.reason, answer.error = piece.stop_reason, None if piece.error is None else piece.error.message
            left.release()

    for job, answer in zip(jobs, answers, strict=True):
        scheduler.submit(job, lambda piece, answer=answer: hear(answer, piece))
    for _ in jobs:
        left.acquire()
    return answers


def _judged(case: Case, answer: Answer) -> dict[str, Any]:
    line: dict[str, Any] = {"number": case.number, "tokens": answer.num_tokens}
    line["finished"] = answer.reason is StopReason.END
    line["valid"] = line["valid_as_doubles"] = False
    if line["finished"]:
        with contextlib.suppress(ValueError):  # not even JSON
            validator = Draft202012Validator(case.schema)
            line["valid"] = validator.is_valid(json.loads(answer.text, parse_float=Decimal))
            line["valid_as_doubles"] = validator.is_valid(json.loads(answer.text))
    if not (line["valid"] and line["valid_as_doubles"]):
        line |= {"reason": answer.reason or answer.error, "schema": case.schema, "end": answer.text[-200:]}
    return line


def _rounds(scheduler: Scheduler, cases: Sequence[Case], options: argparse.Namespace) -> list[dict[str, float]]:
    """Seconds per token with a grammar, and those of free text of the same length beside it."""
    rounds = []
    for number in range(options.rounds):
        line: dict[str, float] = {}
        for parallel in (1, PARALLEL):
            chosen = cases[number * PARALLEL : (number + 1) * PARALLEL]
            held = free = 0.0
            for begin in range(0, PARALLEL, parallel):
                group = [replace(case.job, max_tokens=ROUND_TOKENS) for case in chosen[begin : begin + parallel]]
                first = _ask(scheduler, group)
                loose = [
                    replace(job, grammar=None, stop_ids=frozenset(), max_tokens=max(1, answer.num_tokens))
                    for job, answer in zip(group, first, strict=True)
                ]
                for jobs, is_held in ((loose, False), (group, True), (loose, False), (group, True)):
                    answers = _ask(scheduler, jobs)
                    seconds = max(answer.last for answer in answers) - min(answer.first for answer in answers)
                    held, free = (held + seconds, free) if is_held else (held, free + seconds)
            line |= {f"held_{parallel}": held, f"free_{parallel}": free, f"ratio_{parallel}": held / free}
        rounds.append(line)
        print(json.dumps(line), file=sys.stderr)
    return rounds


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="SmolLM2, as a .pocket file")
    parser.add_argument("--schemas", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="number of the first schema")
    parser.add_argument("--max-tokens", type=int, default=1024)
    parser.add_argument("--temperature", type=float, default=0.3)
    parser.add_argument("--open", action="store_true", help="leave the end of an answer to the model")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
