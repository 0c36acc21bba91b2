"""Text files that a person names."""

from pathlib import Path

from pocketphi.errors import UserError, reason_of


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        UserError: it is not there, is no regular file, cannot be read, or is not UTF-8.
    """
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "does not exist"
        raise UserError(f"`{path}` {what}", hint="give a text file")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read `{path}`: {reason_of(error)}", hint="give a text file that you may read"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"`{path}` is not UTF-8: byte `0x{error.object[error.start]:02x}` at {error.start:,}",
            hint="convert it first, for instance with `iconv -t utf-8`",
        ) from error
