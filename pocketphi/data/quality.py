"""Rules that tell writing from the rest of the web, with the published values of Gopher, C4 and FineWeb.

    Gopher    Rae et al. 2021, appendix A: table A1 (repetition) and section A.1.1 (quality)
    C4        Raffel et al. 2020, section 2.2
    FineWeb   Penedo et al. 2024, section 3.4 and the released filters

A rule looks at a whole page; the first one that fails gives the reason. Rules about words hold for any script; those
about stop words and the length of words are known for few languages and are left out elsewhere.

Three departures, because lessons are short and hold code and worked steps: lines of one or two words are kept
(`Answer: 12` is one), a brace is no reason to drop a page unless braces stand on `CODE_LINES` of its lines, and
`FAULTS_OF_EXERCISES` are forgiven to a page that teaches.
"""

import re
from collections import Counter

import numpy as np

from pocketphi.data.words import Hashes, hash_runs, hash_words

# Gopher, section A.1.1.
MIN_WORDS, MAX_WORDS = 50, 100_000
MEAN_WORD_LENGTH = {"en": (3.0, 10.0), "ko": (1.5, 8.0)}  # ko: ours, a Korean word is two to four syllables
MAX_SYMBOLS_PER_WORD = 0.1
MAX_BULLET_LINES = 0.9
MAX_ELLIPSIS_LINES = 0.3
MIN_WORDS_WITH_LETTER = 0.8
MIN_STOP_WORDS = 2
STOP_WORDS = {"en": frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))}
# Korean marks the part a noun plays by a particle at its end; ours, in the place of Gopher's stop words.
PARTICLES = ("은", "는", "이", "가", "을", "를", "에", "에서", "의", "와", "과", "도", "로", "다")

MAX_CAPITALS = 0.3  # ours, of the Latin letters: shouting

# Gopher, table A1.
MAX_DUPLICATE_LINES = MAX_DUPLICATE_PARAGRAPHS = 0.30
MAX_DUPLICATE_LINE_CHARACTERS = MAX_DUPLICATE_PARAGRAPH_CHARACTERS = 0.20
MAX_TOP_RUN = {2: 0.20, 3: 0.18, 4: 0.16}
MAX_DUPLICATE_RUNS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

# C4, section 2.2.
MIN_SENTENCES = 3
MAX_WORD_CHARACTERS = 1_000
LINE_PHRASES = (
    "javascript", "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip
PLACEHOLDER = "lorem ipsum"
CODE_LINES = 0.5  # ours, see above

# FineWeb, section 3.4; the limit on new lines stands in the released code.
MIN_LINES_WITH_PUNCTUATION = 0.12
MAX_DUPLICATED_LINE_CHARACTERS = 0.1
MAX_SHORT_LINES = 0.67
SHORT_LINE = 30
MAX_NEW_LINES_PER_WORD = 0.3

# Ours: exercises repeat themselves, keep their lines short and are full of numbers on purpose, so these faults are
# forgiven to pages that teach this much (on the scale of `pocketphi.data.education`).
FAULTS_OF_EXERCISES = frozenset(
    ("repeated phrases", "repeated lines", "short lines", "many lines", "words without a letter")
)
MIN_EDUCATION_OF_EXERCISES = 3.0

_END = re.compile(r"[.!?。！？…][\"'”’)\]]*(?=\s|$)")
_ENDS = (".", "!", "?", "。", "！", "？", "…", '"', "”", "’", "'", ":", ";", ")")
_BULLETS = ("•", "‣", "▪", "◦", "●", "○", "–", "-", "*", "·")
_SIGN = re.compile(r"[^\W_]")
_CAPITAL, _SMALL = re.compile(r"[A-Z]"), re.compile(r"[a-z]")
_LETTER = re.compile(r"[^\W\d_]")


def clean_lines(text: str) -> str:
    """Take out the lines that C4 takes out: notices about scripts, cookies and policies, and lines with a word that
    nobody wrote."""
    kept = []
    for line in text.split("\n"):
        low = line.lower()
        notice = len(line) < 300 and any(phrase in low for phrase in LINE_PHRASES)
        if not notice and (len(line) <= MAX_WORD_CHARACTERS or max(map(len, line.split())) <= MAX_WORD_CHARACTERS):
            kept.append(line)
    return "\n".join(kept).strip()


def find_fault(text: str, language: str) -> str | None:
    """Why the text is not worth learning from by the rules; None if none objects.

    Args:
        language: ISO 639-1 code; decides which rules about words apply.
    """
    words = text.split()
    return (
        _words_fault(words, language)
        or _lines_fault(text, words)
        or _repetition_fault(text, words)
        or _sentences_fault(text)
    )


def _words_fault(words: list[str], language: str) -> str | None:
    if len(words) < MIN_WORDS:
        return "too few words"
    if len(words) > MAX_WORDS:
        return "too many words"
    bare = [word for word in words if _SIGN.search(word)]
    low, high = MEAN_WORD_LENGTH.get(language, (0.0, float("inf")))
    if not bare or not low <= sum(map(len, bare)) / len(bare) <= high:
        return "mean word length"
    text = " ".join(words)
    capitals, small = len(_CAPITAL.findall(text)), len(_SMALL.findall(text))
    if capitals > MAX_CAPITALS * (capitals + small):
        return "capitals"
    if text.count("#") / len(words) > MAX_SYMBOLS_PER_WORD:
        return "hash signs"
    if (text.count("...") + text.count("…")) / len(words) > MAX_SYMBOLS_PER_WORD:
        return "ellipses"
    if sum(_LETTER.search(word) is not None for word in words) / len(words) < MIN_WORDS_WITH_LETTER:
        return "words without a letter"
    if language in STOP_WORDS:
        lowered = {word.lower() for word in words}
        if len(STOP_WORDS[language] & lowered) < MIN_STOP_WORDS:
            return "stop words"
    if language == "ko" and len({word for word in map(_bare, words) if word.endswith(PARTICLES)}) < MIN_STOP_WORDS:
        return "stop words"
    return None


def _bare(word: str) -> str:
    return word.strip(".,!?\"'“”‘’():;")


def _lines_fault(text: str, words: list[str]) -> str | None:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    count = len(lines)
    if sum(line.startswith(_BULLETS) for line in lines) / count > MAX_BULLET_LINES:
        return "bullets"
    if sum(line.endswith(("...", "…")) for line in lines) / count > MAX_ELLIPSIS_LINES:
        return "cut lines"
    if sum(line.endswith(_ENDS) for line in lines) / count <= MIN_LINES_WITH_PUNCTUATION:
        return "lines without punctuation"
    # A character of Hangul or Chinese says as much as two or three Latin ones.
    short = sum(_width(line) < SHORT_LINE for line in lines)
    if count > 5 and short / count >= MAX_SHORT_LINES:
        return "short lines"
    if count / len(words) > MAX_NEW_LINES_PER_WORD:
        return "many lines"
    if sum("{" in line or "}" in line for line in lines) / count > CODE_LINES:
        return "braces"
    low = text.lower()
    return "placeholder" if PLACEHOLDER in low else None


def _width(line: str) -> int:
    return len(line) if line.isascii() else len(line) + sum(character >= "\u1100" for character in line)


def _repetition_fault(text: str, words: list[str]) -> str | None:
    total = len(text)
    for parts, most, most_characters, name in (
        (_parts(text, "\n\n"), MAX_DUPLICATE_PARAGRAPHS, MAX_DUPLICATE_PARAGRAPH_CHARACTERS, "repeated paragraphs"),
        (
            _parts(text, "\n"),
            MAX_DUPLICATE_LINES,
            min(MAX_DUPLICATE_LINE_CHARACTERS, MAX_DUPLICATED_LINE_CHARACTERS),
            "repeated lines",
        ),
    ):
        counts = Counter(parts)
        again = sum(number - 1 for number in counts.values())
        characters = sum((number - 1) * len(part) for part, number in counts.items())
        if again / len(parts) > most or characters / total > most_characters:
            return name
    hashes = hash_words([word.lower() for word in words])
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    for length, most in MAX_TOP_RUN.items():
        if _top_run(hashes, lengths, length) > most:
            return "repeated phrase"
    for length, most in MAX_DUPLICATE_RUNS.items():
        if _duplicate_runs(hashes, lengths, length) > most:
            return "repeated phrases"
    return None


def _parts(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def _top_run(hashes: Hashes, lengths: np.ndarray[tuple[int], np.dtype[np.int64]], length: int) -> float:
    """The part of the characters that the most frequent run of `length` words takes up."""
    runs = hash_runs(hashes, length)
    if len(runs) == 0:
        return 0.0
    _, first, counts = np.unique(runs, return_index=True, return_counts=True)
    best = int(counts.max())
    if best == 1:
        return 0.0
    starts = first[counts == best]
    sums = np.concatenate(([0], np.cumsum(lengths)))
    return float((sums[starts + length] - sums[starts]).max() * best / lengths.sum())


def _duplicate_runs(hashes: Hashes, lengths: np.ndarray[tuple[int], np.dtype[np.int64]], length: int) -> float:
    """The part of the characters inside runs of `length` words that stood before; each is counted once."""
    runs = hash_runs(hashes, length)
    if len(runs) == 0:
        return 0.0
    _, first = np.unique(runs, return_index=True)
    if len(first) == len(runs):
        return 0.0
    again = np.ones(len(runs), dtype=bool)
    again[first] = False
    edges = np.zeros(len(hashes) + 1, dtype=np.int64)
    np.add.at(edges, np.flatnonzero(again), 1)
    np.add.at(edges, np.flatnonzero(again) + length, -1)
    return float(lengths[np.cumsum(edges)[:-1] > 0].sum() / lengths.sum())


def _sentences_fault(text: str) -> str | None:
    return "too few sentences" if len(_END.findall(text)) < MIN_SENTENCES else None
