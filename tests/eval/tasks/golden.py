"""The prompts of our sample rows, as they stand in `tests/golden/eval`.

`PYTHONPATH=tests python -m eval.tasks.golden` writes them anew. A change there is a change of a task's version.
"""

from dataclasses import replace
from pathlib import Path

from pocketphi.eval.tasks.abstain import LAB_BENCH
from pocketphi.eval.tasks.cloze import CLOZE
from pocketphi.eval.tasks.examples import draw_examples
from pocketphi.eval.tasks.longcontext import long_context_tasks
from pocketphi.eval.tasks.phi3 import GPQA, PHI3
from pocketphi.eval.tasks.prompt import FORMATS, Format, Prompt
from pocketphi.eval.tasks.rows import Data, load_data
from pocketphi.eval.tasks.safety import SAFETY
from pocketphi.eval.tasks.task import Asked, BenchTask, Choices

SAMPLES = Path(__file__).parents[1] / "samples"
GOLDEN = Path(__file__).parents[2] / "golden" / "eval"
OURS = (*PHI3, GPQA, *CLOZE)
OTHERS = (*SAFETY, LAB_BENCH, *long_context_tasks((1024,), items=1))
IN_CHAT = ("phi3_mmlu", "phi3_gsm8k", "phi3_bbh", "safety_xstest", "passkey_1k")
MAX_SHOTS = 2


def sampled(task: BenchTask) -> BenchTask:
    """With as many examples as the samples have rows for."""
    return replace(task, shots=min(task.shots, MAX_SHOTS))


def questions(task: BenchTask, form: Format = FORMATS[0]) -> dict[str, Asked]:
    """Row -> how it is asked."""
    data = load_data(SAMPLES, task.file) if task.rows is None else Data(test=task.rows(), train=(), files={})
    drawn = draw_examples(task, data, seed=1)
    return {row.id: task.ask(row, drawn.shots(row), form) for row in drawn.test}


def rendered(task: BenchTask, *, chat: bool = False) -> str:
    """All prompts of a task and what is asked of the model behind each."""
    return "\n".join(f"##### {name}\n{_shown(asked, chat=chat)}" for name, asked in questions(sampled(task)).items())


def _shown(asked: Asked, *, chat: bool) -> str:
    prompts = [prompt for prompt, _ in asked.asked] if isinstance(asked, Choices) else [asked.prompt]
    shown = [_prompt(prompt, chat=chat) for prompt in dict.fromkeys(prompts)]
    if isinstance(asked, Choices):
        rest = "\n".join(f"{label!r}: {text!r}" for label, (_, text) in zip(asked.labels, asked.asked, strict=True))
        return "\n".join([*shown, "----- scored", rest])
    return "\n".join([*shown, f"----- written, up to {asked.max_tokens} tokens or {asked.stop!r}"])


def _prompt(prompt: Prompt, *, chat: bool) -> str:
    if not chat:
        return prompt.text()
    return "\n".join(f"[{message.role}] {message.content}" for message in prompt.messages())


def files() -> dict[str, str]:
    """Name of a golden file -> what it must hold."""
    plain = {f"{task.name}.txt": rendered(task) for task in (*OURS, *OTHERS)}
    return plain | {
        f"{task.name}.chat.txt": rendered(task, chat=True) for task in (*OURS, *OTHERS) if task.name in IN_CHAT
    }


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (GOLDEN / name).write_text(text + "\n", encoding="utf-8")
