"""The report's table (section 3, table 2): twenty benchmarks with its shots, and GPQA."""

from pocketphi.eval.tasks.choice import judge_choice, letters
from pocketphi.eval.tasks.task import BenchTask


def _subject(row_subset: str) -> str:
    return row_subset.replace("_", " ")


_MMLU = BenchTask(
    name="phi3_mmlu",
    title="MMLU",
    version=1,
    file="mmlu",
    metric="acc",
    shots=5,
    ask=letters(lambda row: f"The following are multiple choice questions about {_subject(row.subset)}."),
    judge=judge_choice,
    by_subset=True,
    chance=0.25,
)

_LETTERS = {
    # name: title, shots, chance
    "medqa": ("MedQA", 2, 0.25),
    "arc_challenge": ("ARC-C", 10, 0.25),
    "arc_easy": ("ARC-E", 10, 0.25),
    "piqa": ("PIQA", 5, 0.5),
    "siqa": ("SociQA", 5, 1 / 3),
    "openbookqa": ("OpenBookQA", 10, 0.25),
    "boolq": ("BoolQ", 2, 0.5),
    "commonsense_qa": ("CommonsenseQA", 10, 0.2),
    "hellaswag": ("HellaSwag", 5, 0.25),
    "anli": ("ANLI", 7, 1 / 3),
    "winogrande": ("WinoGrande", 5, 0.5),
}

PHI3: tuple[BenchTask, ...] = (
    _MMLU,
    *(
        BenchTask(
            name=f"phi3_{file}",
            title=title,
            version=1,
            file=file,
            metric="acc",
            shots=shots,
            ask=letters(),
            judge=judge_choice,
            chance=chance,
        )
        for file, (title, shots, chance) in _LETTERS.items()
    ),
)
