"""What a model writes, made safe to print.

A model can be talked into writing terminal escapes: they set the clipboard, rename the window, hide or
overwrite text. `printable` shows every control character as its escape (`\\x1b`), so that a terminal
obeys none of them. Line feeds and tabs pass. So do joiners and marks that scripts need; the characters
that reorder a whole line (bidirectional overrides, embeddings and isolates) do not, because one that is
never closed would reach past the answer.
"""

import re

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with everything that a terminal would obey written as `\\x..` or `\\u....`."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
