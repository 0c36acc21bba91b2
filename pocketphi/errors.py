"""The one exception that a person can do something about.

A `UserError` says what is wrong, where, with the offending value, and hints at the repair. The
command line prints it without a traceback and exits 1; 2 for a `UsageError`. Everything else that is raised is a bug.
"""


class UserError(Exception):
    """Something the user can fix.

    Args:
        message: what is wrong and where; lower case, values in backticks, no final stop.
        hint: how to repair it, if there is a way.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n\nhint: {self.hint}"


class UsageError(UserError):
    """What was typed means nothing, a model's name for instance: wrong usage, as an unknown option is."""


_EXTRAS = {
    **dict.fromkeys(("torch", "safetensors", "pydantic"), "train"),
    **dict.fromkeys(("daft", "fastwarc", "py3langid", "pyarrow", "resiliparse", "trafilatura"), "data"),
    "lm_eval": "eval",
    **dict.fromkeys(
        ("cryptography", "fastapi", "httptools", "llguidance", "prometheus_client", "psutil", "segno", "uvicorn"),
        "serve",
    ),
}


def missing_library(error: Exception) -> UserError | None:
    """What to install, if a library of one of our extras is not there."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if name not in _EXTRAS:
        return None
    return UserError(f"this needs `{name}`, which is not installed", hint=f"pip install 'pocketphi[{_EXTRAS[name]}]'")


def shown(value: object, longest: int = 80) -> str:
    """A value from a file or a stranger as it may stand in a message: one line, printable, short."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        text = f"{type(value).__name__} too long to show"
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def reason_of(error: Exception) -> str:
    """What the system says went wrong, without number and path, as it may end a message."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def is_whole(value: object) -> bool:
    """Whether somebody without a type checker passed a whole number where one is due."""
    return isinstance(value, int) and not isinstance(value, bool)
