"""`/metrics`: Prometheus, under vLLM's names, so that its dashboards work here.

What the scheduler counts is read when somebody asks; what a request took is noted when its pieces arrive.
"""

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pocketphi.runtime.writer import StopReason
from pocketphi.serve.openai.answers import Answers, Ready
from pocketphi.serve.openai.served import ServedModel, ServedModels

_LABELS = ("model_name", "engine")
_FINISHED = {
    StopReason.END: "stop",
    StopReason.STOP: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT: "length",
    StopReason.CANCELLED: "abort",
}
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5)


class Metrics:
    """What a server did since it started."""

    def __init__(self, models: ServedModels) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_OfSchedulers(models))
        self._first = self._histogram("vllm:time_to_first_token_seconds", "From asking to the first token.")
        self._between = self._histogram(
            "vllm:inter_token_latency_seconds", "Between two tokens of an answer.", buckets=_TOKEN_SECONDS
        )
        self._whole = self._histogram("vllm:e2e_request_latency_seconds", "From asking to the last token.")
        self._queue = self._histogram("vllm:request_queue_time_seconds", "In the waiting line.")
        self._finished = Counter(
            "vllm:request_success", "Answers by how they ended.", (*_LABELS, "finished_reason"), registry=self.registry
        )
        for served in models:
            for reason in sorted({*_FINISHED.values()}):
                self._finished.labels(served.name, "0", reason)

    def of(self, served: ServedModel) -> "ModelMetrics":
        """Where the requests of one model are noted."""
        labels = (served.name, "0")
        return ModelMetrics(
            first=self._first.labels(*labels),
            between=self._between.labels(*labels),
            whole=self._whole.labels(*labels),
            queue=self._queue.labels(*labels),
            finished={reason: self._finished.labels(*labels, name) for reason, name in _FINISHED.items()},
        )

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(name, what, _LABELS, buckets=buckets, registry=self.registry)


class ModelMetrics:
    """Notes what one model's requests take."""

    def __init__(
        self,
        *,
        first: Histogram,
        between: Histogram,
        whole: Histogram,
        queue: Histogram,
        finished: dict[StopReason, Counter],
    ) -> None:
        self._first, self._between, self._whole, self._queue, self._finished = first, between, whole, queue, finished

    def written(self, answers: Answers, ready: Ready) -> None:
        """Pieces arrived."""
        now = time.monotonic()
        for index, piece in ready:
            ticket = answers.tickets[index]
            if piece.tokens:
                if (before := answers.token_at[index]) is not None:
                    self._between.observe(now - before)
                answers.token_at[index] = now
            if piece.stop_reason is not None and ticket is not None:
                self._finished[piece.stop_reason].inc()
                self._whole.observe(now - ticket.submitted_at)
                if ticket.started_at is not None:
                    self._queue.observe(ticket.started_at - ticket.submitted_at)
                if ticket.first_token_at is not None:
                    self._first.observe(ticket.first_token_at - ticket.submitted_at)

    def left(self, answers: Answers) -> None:
        """The client of `answers` went away."""
        self._finished[StopReason.CANCELLED].inc(answers.num_open)


class _OfSchedulers(Collector):
    """What the schedulers count themselves."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        stats = [(served, served.scheduler.stats()) for served in self._models]

        def each(values: Iterable[tuple[Metric, list[float]]]) -> Iterator[Metric]:
            for metric, numbers in values:
                for (served, _), number in zip(stats, numbers, strict=True):
                    metric.add_metric((served.name, "0"), number)  # type: ignore[attr-defined]
                yield metric

        def gauge(name: str, what: str) -> Metric:
            return GaugeMetricFamily(f"vllm:{name}", what, labels=_LABELS)

        def counter(name: str, what: str) -> Metric:
            return CounterMetricFamily(f"vllm:{name}", what, labels=_LABELS)

        of = [each_stats for _, each_stats in stats]
        yield from each(
            (
                (gauge("num_requests_running", "Answers being written."), [s.running for s in of]),
                (gauge("num_requests_waiting", "Requests in the line."), [s.waiting for s in of]),
                (
                    gauge("kv_cache_usage_perc", "Share of the cache's memory that is in use, 0 to 1."),
                    [s.cache_usage for s in of],
                ),
                (counter("prompt_tokens", "Tokens of prompts."), [s.prompt_tokens for s in of]),
                (counter("generation_tokens", "Tokens written."), [s.generated_tokens for s in of]),
                (
                    counter("prefix_cache_queries", "Tokens of prompts that were looked up in the prefix cache."),
                    [s.prompt_tokens for s in of],
                ),
                (
                    counter("prefix_cache_hits", "Tokens of prompts that were read for an earlier request."),
                    [s.cached_tokens for s in of],
                ),
            )
        )
