"""When two answers are the same: what stands after `Answer:`, compared in one normal form.

Exact match is strict about content and blind to writing: case, spaces, a full stop at the end, quotes around
the whole, and how a number is written (`1,200`, `1200.0` and `+1200` are one number). It never looks for the
right answer somewhere in a text: a model that lists every possibility is wrong.
"""

import re
import unicodedata

MARK = "Answer:"
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d*"


def final_answer(written: str, *, first: bool = False) -> str | None:
    """The line after the last `Answer:`; None if there is none.

    Args:
        first: take the first one instead. A document may go on to other questions after its answer.
    """
    _, mark, after = written.partition(MARK) if first else written.rpartition(MARK)
    if not mark:
        return None
    return after.strip().partition("\n")[0].strip()


def normalise(answer: str) -> str:
    """The normal form in which answers are compared."""
    text = unicodedata.normalize("NFKC", answer).replace("\u2212", "-")
    text = " ".join(text.casefold().split()).strip(_QUOTES)
    text = text.rstrip(".!").strip(_QUOTES).strip()
    return " ".join(_plain_number(word) for word in text.split(" "))


def is_correct(answer: str | None, expected: str) -> bool:
    """Whether an answer says what is expected."""
    return answer is not None and normalise(answer) == normalise(expected)


def _plain_number(word: str) -> str:
    """`1,200.50,` as `1200.5,`: a number without grouping, plus sign, outer zeros; what is none stays."""
    number = word.rstrip(",;:")
    if not _NUMBER.fullmatch(number):
        return word
    sign = "-" if number.startswith("-") else ""
    whole, _, part = number.lstrip("+-").replace(",", "").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    plain = f"{whole}.{part}" if part else whole
    return ("" if plain == "0" else sign) + plain + word[len(number) :]
