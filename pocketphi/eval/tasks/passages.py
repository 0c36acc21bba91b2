"""What items share: those of one passage are right or wrong together, and an interval has to know."""

import hashlib

from pocketphi.eval.tasks.rows import Row


def by_context(row: Row) -> str:
    """The passage; the row itself where there is none."""
    return _key("context", row.context) if row.context else row.id


def by_twins(row: Row) -> str:
    """WinoGrande's pairs of sentences, which differ in a word or two: the same options and the same first words."""
    return _key("twins", *sorted(row.choices), *row.question.split()[:3])


def _key(*parts: str) -> str:
    text = "\0".join(" ".join(part.split()) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
