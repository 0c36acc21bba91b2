"""What the routes of one server share."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from pocketphi.errors import UserError
from pocketphi.runtime.scheduler.job import EmbedJob, Job, QueueFullError
from pocketphi.serve.openai.answers import Answers, Handover
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.metrics import Metrics, ModelMetrics
from pocketphi.serve.openai.served import ServedModel, ServedModels, ServeOptions


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What all parts of an answer repeat."""

    id: str
    created: int
    model: str
    fingerprint: str

    @classmethod
    def make(cls, prefix: str, served: ServedModel) -> "Envelope":
        """A new one, such as `chatcmpl-...`."""
        return cls(
            id=f"{prefix}{secrets.token_hex(12)}",
            created=int(time.time()),
            model=served.name,
            fingerprint=served.fingerprint,
        )

    def fields(self, kind: str) -> dict[str, object]:
        """The answer's first fields."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


class Service:
    """The models, the limits and the counters."""

    def __init__(self, models: ServedModels, options: ServeOptions) -> None:
        self.models = models
        self.options = options
        self.metrics = Metrics(models)
        self._metrics = {served.name: self.metrics.of(served) for served in models}
        self._handover: Handover | None = None

    def metrics_of(self, served: ServedModel) -> ModelMetrics:
        return self._metrics[served.name]

    def check_room(self, tenant: str) -> None:
        """Refuse what no model has a place for before its body is looked at: under overload a refusal must cost little,
        because it takes its time from those who are served.

        Raises:
            ApiError: 429.
        """
        refusal: QueueFullError | None = None
        for served in self.models:
            try:
                served.scheduler.check_room(tenant)
            except QueueFullError as error:
                refusal = error
            else:
                return
        if refusal is not None:
            raise ApiError.of(refusal)

    def answers(self, served: ServedModel, jobs: Sequence[Job | EmbedJob]) -> Answers:
        """Submit `jobs`. On the event loop.

        Raises:
            ApiError: the scheduler does not take them.
        """
        loop = asyncio.get_running_loop()
        if self._handover is None or self._handover.loop is not loop:
            self._handover = Handover(loop)
        try:
            return Answers(served.scheduler, jobs, self._handover)
        except UserError as error:
            raise ApiError.of(error) from None


def tenant_of(request: Request) -> str:
    """Whose request it is, as the guard in front of the app found."""
    return str(request.scope.get("pocketphi.tenant", ""))
