"""Which language a text is in.

Scripts that one language owns decide by themselves; the rest is left to py3langid (a naive Bayes model over byte
n-grams of 97 languages, Lui and Baldwin 2012, inside its wheel). Two samples of the text are enough, and where every
fifth word is one of the commonest English ones, the answer is known without it.
"""

import re
from functools import lru_cache
from typing import Any

MIN_CONFIDENCE = 0.65
"""FineWeb's threshold for English (Penedo et al. 2024, section 3.1)."""
_SAMPLE = 400
# fmt: off
_ENGLISH = frozenset((
    "the", "of", "and", "to", "a", "in", "is", "that", "it", "for", "was", "on", "are", "with", "as", "be", "at", "by",
    "this", "have", "from", "or", "you", "not", "but", "they", "an", "which",
))
# fmt: on
_MIN_ENGLISH = 0.2
_LETTERS = re.compile(r"[^\W\d_]")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f]")
_KANA = re.compile(r"[\u3040-\u30ff]")


def detect_language(text: str) -> tuple[str, float]:
    """An ISO 639-1 code and the confidence in it; `und` and 0 if there are no letters."""
    middle = len(text) // 2
    sample = text if len(text) <= 2 * _SAMPLE else text[:_SAMPLE] + "\n" + text[middle : middle + _SAMPLE]
    letters = len(_LETTERS.findall(sample))
    if letters == 0:
        return "und", 0.0
    hangul = len(_HANGUL.findall(sample)) / letters
    if hangul >= 0.3:
        return "ko", min(1.0, 0.5 + hangul)
    if len(_KANA.findall(sample)) / letters >= 0.2:
        return "ja", 1.0
    words = sample.lower().split()
    if len(words) >= 40 and sum(word in _ENGLISH for word in words) >= _MIN_ENGLISH * len(words):
        return "en", 1.0
    code, confidence = _identifier().classify(sample)
    return str(code), float(confidence)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
