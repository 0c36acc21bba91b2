"""Every benchmark of local rows, through the harness, answered by a model that knows the first option."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from eval.tasks.golden import OURS, SAMPLES, sampled
from pocketphi.eval.harness.prepare import Options, Subject
from pocketphi.eval.harness.run import evaluate
from pocketphi.eval.results import read_items, read_results
from pocketphi.eval.tasks.task import BenchTask
from pocketphi.runtime.backend import Capabilities, GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.writer import StopReason


class _FirstOption:
    """Likes short continuations and early letters, and always writes the same."""

    capabilities = Capabilities(logits=False, logprobs=True, grammar=False, max_context=1 << 20)

    def length(self, request: ScoreRequest | GenerateRequest) -> int:
        del request
        return 1

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        return [
            ScoreResult(logprob=-float(sum(request.continuation.encode())), num_tokens=1, is_greedy=False)
            for request in requests
        ]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        result = GenerateResult(text=" Thus. The answer is (A).", num_tokens=5, stop_reason=StopReason.END)
        return [result] * len(requests)


@pytest.mark.parametrize("chat", [False, True], ids=["text", "chat"])
def test_every_benchmark_of_the_report_runs_on_our_samples(tmp_path: Path, chat: bool) -> None:
    subject = Subject(backend=_FirstOption(), name="first", digest="0" * 64, kind="native")
    tasks: list[BenchTask] = [sampled(task) for task in OURS]
    found = evaluate(subject, tasks, Options(data=SAMPLES, chat=chat), tmp_path / "out")
    results = read_results(found.path)
    assert list(results.tasks) == [task.name for task in OURS]
    for task in OURS:
        result, items = results.tasks[task.name], list(read_items(found.path, task.name))
        assert items
        assert result.scores[task.metric].count == len(items)
        assert 0 <= result.scores[task.metric].value <= 1
    # Written and scored rows of one benchmark go through it together.
    kinds = [bool(item.written) for item in read_items(found.path, "phi3_agieval")]
    assert kinds == [False] * 4 + [True]
    # A letter of an option, where a letter is the answer.
    assert [item.scores["acc"] for item in read_items(found.path, "phi3_bbh")] == [0.0, 0.0, 1.0, 0.0, 0.0]
