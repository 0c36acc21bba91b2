"""MMLU by language, where the data folder has it: `mmlu_ko.test.jsonl.gz` with `mmlu_ko.train.jsonl.gz`, and so on.

Five worked examples of the row's own subject, as for MMLU itself; the signs of the prompt stay English and no sentence
stands in front, so that languages differ in their questions alone. The report gives averages over languages (Phi-3.5
section; 55.4 for 3.5-mini) and its model card single ones, without naming the translation, so a figure from another one
is near it and no more.
"""

import re
from pathlib import Path

from pocketphi.eval.tasks.choice import judge_letter, letters, one_letter
from pocketphi.eval.tasks.rows import TEST_PARTS
from pocketphi.eval.tasks.task import BenchTask

_FILE = re.compile(rf"(?P<name>mmlu_(?P<language>[a-z]{{2}}(?:_[a-z]+)?))\.(?:{'|'.join(TEST_PARTS)})\.jsonl(?:\.gz)?")
_TITLES = {
    "ar": "Arabic",
    "bn": "Bengali",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def multilingual_mmlu(folder: Path) -> tuple[BenchTask, ...]:
    """A task for each language that the folder has a test file of, by name; none if there is no such folder."""
    found = (_FILE.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ()))
    languages = {match["language"]: match["name"] for match in found if match}
    return tuple(
        BenchTask(
            name=name,
            title=f"MMLU ({_TITLES.get(language, language)})",
            version=1,
            file=name,
            metric="acc",
            shots=5,
            ask=letters(),
            judge=judge_letter,
            check=one_letter,
            by_subset=True,
            chance=0.25,
        )
        for language, name in sorted(languages.items())
    )
