"""Errors as OpenAI's clients expect them: `{"error": {"message", "type", "param", "code"}}` with a fitting status."""

from typing import Self

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from pocketphi.errors import UserError, shown
from pocketphi.runtime.scheduler.job import QueueFullError, ShuttingDownError
from pocketphi.runtime.session import ContextFullError


class ErrorDetail(BaseModel):
    message: str = Field(description="What is wrong, and how to repair it.")
    type: str = Field(description="`invalid_request_error`, `rate_limit_error` or `server_error`.")
    param: str | None = Field(description="The field that is wrong, such as `messages[0].content`.")
    code: str | None = Field(description="For programs, such as `model_not_found` or `context_length_exceeded`.")


class ErrorReply(BaseModel):
    """Why a request was refused or failed."""

    error: ErrorDetail


class ApiError(Exception):
    """A refusal with its HTTP status."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.headers = headers

    @classmethod
    def model_not_found(cls, name: str, known: list[str]) -> Self:
        message = (
            f"the model `{shown(name)}` does not exist; this server has {', '.join(f'`{each}`' for each in known)}"
        )
        return cls(message, status=404, param="model", code="model_not_found")

    @classmethod
    def timeout(cls, seconds: float) -> Self:
        return cls(f"the request took longer than {seconds:g} seconds", status=503, code="timeout")

    @classmethod
    def internal(cls) -> Self:
        return cls("the server failed; its log says why", status=500, code="internal_error")

    @classmethod
    def of(cls, error: UserError, *, param: str | None = None) -> Self:
        """What a person can fix, as a refusal."""
        message = error.message if error.hint is None else f"{error.message}; {error.hint}"
        match error:
            case QueueFullError():
                headers = {"Retry-After": str(error.retry_after_seconds)}
                return cls(message, status=429, code="queue_full", headers=headers)
            case ShuttingDownError():
                return cls(message, status=503, code="shutting_down")
            case ContextFullError():
                return cls(message, param=param or "messages", code="context_length_exceeded")
        return cls(message, param=param, code=None if param is None else "invalid_value")

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        if self.status == 429:
            kind = "rate_limit_error"
        else:
            kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)
