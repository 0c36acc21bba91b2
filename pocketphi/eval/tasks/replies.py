"""What a model answered: reading a written reply. Pure functions; None where nothing was understood.

One rule for all: the answer stands behind the first cue (`The answer is`, `Answer:`, `####`), up to the end of that
line. The first, because a model that goes on with a text writes further questions, with their answers, behind its own.
A reply that names several answers (`A or B`, `yes and no`) has none, and the right one is never looked for elsewhere in
the text.
"""

import re
import string

from pocketphi.eval.answers import normalise

_CUE = re.compile(r"\banswer\s*(?:is\b\s*:?|:)|####", re.IGNORECASE)
_NUMBER = re.compile(r"((?<![\w)])[-\u2212])?\$?((?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+)")
_OPTION = r"(?:\(([A-Za-z])\)|([A-Z])(?=\s*(?:$|[.,:;)\n*/&]|or\b|and\b)))"
_FIRST_OPTION = re.compile(rf"[\s*:`\"'_]*(?:(?:option|choice)\s+)?{_OPTION}", re.IGNORECASE)
_SECOND_OPTION = re.compile(rf"[\s*]*(?:or|and|,|/|&)\s*(?:or\s+|and\s+)?{_OPTION}")
_LEAD = "*_`\"': \t\r\n"
_BRACKETS = frozenset("()[]{}<>")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_UNMARKED = str.maketrans(dict.fromkeys(string.punctuation + "\u2018\u2019\u201c\u201d\u00b4", " "))


def after_cue(reply: str) -> str | None:
    """What stands behind the first cue, up to the end of the line; None without a cue."""
    cue = _CUE.search(reply)
    return None if cue is None else _line(reply[cue.end() :])


def first_line(reply: str) -> str:
    """The first line that says something."""
    return _line(reply)


def number_answer(reply: str) -> str | None:
    """A number in normal form: `1,200`, `$1200`, `1200.0` and `1200 %` are `1200`.

    Behind the cue it is the first one, or the first behind the last `=`; without a cue, the last one of all.
    """
    line = after_cue(reply)
    if line is not None:
        found = _NUMBER.search(line.rpartition("=")[2])
    else:
        found = None
        for found in _NUMBER.finditer(reply):  # noqa: B007 - the last one is wanted
            pass
    if found is None:
        return None
    sign, digits = found.groups()
    return normalise(("-" if sign else "") + (f"0{digits}" if digits.startswith(".") else digits))


def option_answer(reply: str, count: int) -> str | None:
    """The letter of one of `count` options: `(B)`, `(b)`, `B.`, `option B`, behind the cue or at the very beginning.

    A small letter counts in brackets only: `a` is a word.
    """
    line = after_cue(reply)
    if line is None:
        line = first_line(reply)
    first = _FIRST_OPTION.match(line)
    if first is None or (first[2] or "A").islower():
        return None
    if _SECOND_OPTION.match(line, first.end()):
        return None
    letter = (first[1] or first[2]).upper()
    return letter if letter in string.ascii_uppercase[:count] else None


def word_answer(reply: str, words: tuple[str, ...]) -> str | None:
    """One of a few words, in small letters, where an answer begins with it."""
    line = after_cue(reply)
    if line is None:
        line = first_line(reply)
    said = re.findall(r"\w+", line.partition(".")[0].casefold())
    named = set(said) & set(words)
    return said[0] if said and said[0] in words and len(named) == 1 else None


def words_answer(reply: str) -> str | None:
    """Words in their order, in small letters, one space between them."""
    line = after_cue(reply)
    if line is None:
        line = first_line(reply)
    return " ".join(line.rstrip('.`"').replace(",", " ").casefold().split()) or None


def brackets_answer(reply: str) -> str | None:
    """Closing brackets, one space between them; None if anything else stands there."""
    line = after_cue(reply)
    if line is None:
        line = first_line(reply)
    signs = [char for char in line if not char.isspace() and char not in "\"'`.*"]
    return " ".join(signs) if signs and _BRACKETS.issuperset(signs) else None


def short_answer(reply: str) -> str | None:
    """The first line, or what stands behind a cue in it, in the normal form of TriviaQA (Joshi et al. 2017)."""
    line = first_line(reply)
    found = after_cue(line)
    return plain_words(line if found is None else found) or None


def plain_words(text: str) -> str:
    """Small letters, without punctuation and articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.casefold().translate(_UNMARKED)).split())


def _line(text: str) -> str:
    return text.lstrip(_LEAD).partition("\n")[0].rstrip(_LEAD)
