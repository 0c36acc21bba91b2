"""The stages of a recipe, in order: the only module that knows them all.

`stages_of` lists them: what each reads, under which settings, and how it is called. `make` runs that list in a
directory, one run at a time, each stage in a process of its own (`pocketphi.isolated`): what a stage took is free
again when it ends, so the peak of a run is that of its hungriest stage; a stage that is killed for its memory is an
error and not the end of the program; and no thread pool of one library meets the fork of another. The price is a
second or two for each process that loads torch. The children of a killed run hold its lock until they are gone.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pocketphi import isolated
from pocketphi.artifact import Artifact, Progress, is_artifact, open_artifact
from pocketphi.data.sources import keep_apart
from pocketphi.errors import UserError, reason_of
from pocketphi.locks import exclusive
from pocketphi.recipe import Dpo, Evaluate, PretrainPhase, Primer, Recipe, Sft, parse_recipe, settings_of
from pocketphi.stages import Execute, Made, Outcome, Stage, View, run_stages

if TYPE_CHECKING:
    from pocketphi.runtime.backend import Backend

RECIPE = "recipe.json"
"""The resolved recipe, in the run's directory."""
FIVE_GRAM, FREQUENT = BASELINES = ("5-gram", "most-frequent-answer")
"""What a model has to beat, in the order in which the report reads."""
_LOGS = "logs"
EVALUATION = "evaluation-"
VERBS: Mapping[str, tuple[str, ...]] = {
    "curate": ("corpus",),
    "tokenize": ("tokenizer", "shards"),
    "pretrain": ("phase1", "phase2"),
    "evaluate": (EVALUATION,),
    "quantize": ("model",),
}
"""Verb of the command line -> how the names of its stages begin; the other verbs are named like their stage."""
_CALIBRATION_DOCUMENTS = 256
_SECONDS_BETWEEN_MESSAGES = 0.1
_SECONDS_FOR_THE_LOCK = 10.0

Form = Literal["chat", "document"]


def make(
    recipe: Recipe,
    out: Path,
    *,
    view: View,
    until: str | None = None,
    redo_from: str | None = None,
    only: Collection[str] | None = None,
) -> list[Outcome]:
    """Make what `recipe` describes in the directory `out`; what is finished there stays.

    Args and outcomes are those of `pocketphi.stages.run_stages`; `until` and `redo_from` may be verbs too, which stand
    for the last and the first of their stages.

    Raises:
        UserError: as there; or another run works in `out`, `out` cannot be written, or `out` and own pages are not
            apart.
    """
    if is_artifact(out):
        raise UserError(f"`{out}` is the result of a stage, not the directory of a run", hint="choose another --out")
    stages = stages_of(recipe)
    keep_apart([Path(folder) for folder in recipe.folders], out)
    with _writing(out):
        (out / _LOGS).mkdir(parents=True, exist_ok=True)
    with exclusive(out / "run.lock", f"`{out}` is in use by another run", wait_seconds=_SECONDS_FOR_THE_LOCK) as lock:
        return run_stages(
            stages,
            out,
            execute=_in_a_process(recipe, out, lock),
            view=view,
            until=until and stages_named(until, stages)[-1],
            redo_from=redo_from and stages_named(redo_from, stages)[0],
            only=only,
        )


def stages_named(name: str, stages: Sequence[Stage]) -> list[str]:
    """The names of the stages that a verb makes, in order; any other name stands for itself.

    Raises:
        UserError: the recipe has none of the verb's stages.
    """
    if name not in VERBS:
        return [name]
    found = [stage.name for stage in stages if stage.name.startswith(VERBS[name])]
    if not found:
        raise UserError(f"the recipe has no stage that `{name}` makes")
    return found


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write in `{out}`: {reason_of(error)}",
            hint="free some space, or choose another --out",
        ) from error


def _in_a_process(recipe: Recipe, out: Path, lock: int) -> Execute:
    def execute(stage: Stage, progress: Progress) -> Mapping[str, Any]:
        argument = {"recipe": settings_of(recipe), "out": str(out), "stage": stage.name}
        # Not before: a run that is refused leaves the recipe of what is there.
        with _writing(out):
            (out / RECIPE).write_text(json.dumps(settings_of(recipe), indent=1) + "\n", encoding="utf-8")
        log = out / _LOGS / f"{stage.name}.log"
        result: Mapping[str, Any] = isolated.call(
            run_stage, argument, log=log, on_message=lambda message: progress(*message), keep=[lock]
        )
        return result

    return execute


def run_stage(argument: Mapping[str, Any], send: isolated.Send) -> dict[str, Any]:
    """Make one stage here and now: what the process of a stage does."""
    out = Path(argument["out"])
    (stage,) = (each for each in stages_of(parse_recipe(argument["recipe"], RECIPE)) if each.name == argument["stage"])
    made = {name: open_artifact(out / name) for name in stage.parents}
    stage.run(made, out / stage.name, progress_over(send))
    # Kilobytes, but bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"peak_memory_bytes": peak}


def progress_over(send: isolated.Send) -> Progress:
    """The progress of a stage in a process of its own: messages that `isolated.call` hears, not too many."""
    last_sent = 0.0

    def progress(done: float, total: float, figures: Mapping[str, float | str]) -> None:
        nonlocal last_sent
        if time.monotonic() - last_sent >= _SECONDS_BETWEEN_MESSAGES or done >= total:
            send([done, total, dict(figures)])
            last_sent = time.monotonic()

    return progress


def stages_of(recipe: Recipe) -> tuple[Stage, ...]:
    """What is to be done, in order."""
    listed: list[Stage] = []

    def add(
        name: str,
        parents: Sequence[str],
        run: Callable[[Made, Path, Progress], object],
        settings: Callable[[], Mapping[str, Any]],
        label: str | None = None,
        seed: int | None = recipe.seed,
    ) -> None:
        listed.append(
            Stage(name=name, label=label or name, parents=tuple(parents), settings=settings, seed=seed, run=run)
        )

    def evaluation(of: str, form: Form) -> None:
        read, label = ((), f"evaluate.{of}") if of in BASELINES else ((of,), "evaluate")
        settings = {**settings_of(recipe.evaluate), "form": form}
        run = partial(_evaluate, recipe.evaluate, of, form, label)
        held_out = ("shards", "tokenizer") if recipe.primer is None else ("primer",)
        add(EVALUATION + of, (*read, *held_out), run, lambda: settings, label=label, seed=None)

    primer = () if recipe.primer is None else ("primer",)
    if recipe.primer is not None:
        add("primer", (), partial(_primer, recipe.primer, recipe.seed), partial(settings_of, recipe.primer))
    add("corpus", primer, partial(_corpus, recipe), partial(_corpus_settings, recipe))
    add("tokenizer", ("corpus",), partial(_tokenizer, recipe), partial(settings_of, recipe.tokenizer))
    add("shards", ("corpus", *primer, "tokenizer"), partial(_shards, recipe), dict)
    start: tuple[str, ...] = ()
    for name in ("phase1", "phase2"):
        table = getattr(recipe.pretrain, name)
        if table is not None:
            settings = partial(_pretrain_settings, recipe, table)
            parents = ("shards", "tokenizer", *start)
            add(name, parents, partial(_pretrain, recipe, table), settings, label=f"pretrain.{name}")
            evaluation(name, "document")
            start = (name,)
    (last,) = start
    if recipe.sft is not None:
        add("sft", (last, "primer"), partial(_sft, recipe.sft, recipe.seed, last), partial(settings_of, recipe.sft))
        evaluation("sft", "chat")
        last = "sft"
    if recipe.dpo is not None:
        add("dpo", (last, "primer"), partial(_dpo, recipe.dpo, recipe.seed, last), partial(settings_of, recipe.dpo))
        evaluation("dpo", "chat")
        last = "dpo"
    add(
        "model",
        (last, "corpus"),
        partial(_model, recipe, last),
        partial(settings_of, recipe.quantize),
        label="quantize",
    )
    evaluation("model", "document" if recipe.sft is None else "chat")
    for baseline in BASELINES if recipe.primer is not None else ():
        evaluation(baseline, "chat")
    # What the page shows and no stage before it has.
    shown = {key: settings_of(recipe)[key] for key in ("name", "cluster")}
    add("report", [stage.name for stage in listed], partial(_report, shown), lambda: shown, seed=None)
    return tuple(listed)


# What follows imports a stage when it runs: listing stages loads no torch.


def _primer(table: Primer, seed: int, _made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.data.primer import generate_primer

    return generate_primer(table, out, seed=seed, progress=progress)


def _corpus_settings(recipe: Recipe) -> Mapping[str, Any]:
    from pocketphi.data.sources import corpus_settings

    return corpus_settings(recipe.curate, [Path(folder) for folder in recipe.folders])


def _corpus(recipe: Recipe, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.data.curate import curate

    folders = [Path(folder) for folder in recipe.folders]
    return curate(recipe.curate, made.get("primer"), folders, out, seed=recipe.seed, progress=progress)


def _tokenizer(recipe: Recipe, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.tokenizer.train import train_tokenizer

    corpus = made["corpus"]
    texts = _texts(corpus)
    return train_tokenizer(recipe.tokenizer, texts, out, seed=recipe.seed, progress=progress, parents=(corpus,))


def _texts(corpus: Artifact) -> Iterator[str]:
    """All documents, one of each part in turn: a cut anywhere leaves no part out."""
    from pocketphi.data.pack import PARTS
    from pocketphi.data.records import read_documents

    files = [path for part in PARTS if (path := corpus.path / f"{part}.jsonl").is_file()]
    for each in zip_longest(*(read_documents(path) for path in files)):
        yield from (document.text for document in each if document is not None)


def _shards(recipe: Recipe, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.data.pack import pack

    return pack(made["corpus"], made.get("primer"), made["tokenizer"], out, seed=recipe.seed, progress=progress)


def _pretrain_settings(recipe: Recipe, table: PretrainPhase) -> Mapping[str, Any]:
    return {**settings_of(table), "model": settings_of(recipe.model)}


def _pretrain(recipe: Recipe, table: PretrainPhase, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.train.pretrain import pretrain

    return pretrain(
        table,
        recipe.model,
        made["shards"],
        made["tokenizer"],
        out,
        seed=recipe.seed,
        progress=progress,
        start=made.get("phase1"),
    )


def _sft(table: Sft, seed: int, of: str, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.train.sft import sft

    return sft(table, made[of], made["primer"], out, seed=seed, progress=progress)


def _dpo(table: Dpo, seed: int, of: str, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.train.dpo import dpo

    return dpo(table, made[of], made["primer"], out, seed=seed, progress=progress)


def _model(recipe: Recipe, of: str, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.quant.quantize import quantize

    corpus = made["corpus"]
    return quantize(
        recipe.quantize,
        made[of],
        out,
        seed=recipe.seed,
        calibration=islice(_texts(corpus), _CALIBRATION_DOCUMENTS),
        parents=(corpus,),
        progress=progress,
    )


def _evaluate(table: Evaluate, of: str, form: Form, stage: str, made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.data.records import read_documents, read_questions
    from pocketphi.eval.questions import evaluate

    if "primer" not in made:
        held_out = _held_out(made["shards"], made["tokenizer"], table.num_lessons)
        parents = (made[of], made["shards"], made["tokenizer"])
        with open_backend(made[of]) as backend:
            return evaluate(
                table, backend, (), out, parents=parents, progress=progress, form=form, lessons=held_out, stage=stage
            )
    primer = made["primer"]
    measured = made.get(of)
    lessons = (document.text for document in read_documents(primer.path / "heldout_lessons.jsonl"))
    with _baseline(of, primer) if measured is None else open_backend(measured) as backend:
        return evaluate(
            table,
            backend,
            read_questions(primer.path / "questions.jsonl"),
            out,
            parents=(primer,) if measured is None else (measured, primer),
            progress=progress,
            form=form,
            lessons=() if of == FREQUENT else lessons,
            stage=stage,
        )


def _held_out(shards: Artifact, tokenizer: Artifact, most: int) -> list[str]:
    """Texts of the validation part, from all over it; none where the corpus was too small to hold one out."""
    from pocketphi.data.pack import VALIDATION, open_shard
    from pocketphi.tokenizer.train import load_tokenizer

    if VALIDATION not in shards.summary["parts"]:
        return []
    shard, decoder = open_shard(shards, VALIDATION), load_tokenizer(tokenizer)
    count = min(most, shard.num_documents)
    chosen = (index * shard.num_documents // count for index in range(count))
    # The last id is the end of text.
    return [decoder.decode(shard.document(index)[:-1].tolist()) for index in chosen]


@contextmanager
def _baseline(name: str, primer: Artifact) -> "Iterator[Backend]":
    """What answers without a model, from the same lessons and conversations."""
    from pocketphi.data.records import read_conversations, read_documents, read_questions
    from pocketphi.eval.baselines import MostFrequentAnswer, NGramModel, conversation_text

    conversations = list(read_conversations(primer.path / "conversations.jsonl"))
    if name != FIVE_GRAM:
        yield MostFrequentAnswer.learn(conversations, read_questions(primer.path / "questions.jsonl"))
    else:
        lessons = (document.text for document in read_documents(primer.path / "lessons.jsonl"))
        yield NGramModel.learn(chain(lessons, map(conversation_text, conversations)))


@contextmanager
def open_backend(measured: Artifact) -> "Iterator[Backend]":
    """What answers for a checkpoint (PyTorch) or a model (the engine)."""
    if measured.kind == "model":
        from pocketphi.formats.pocket import open_pocket
        from pocketphi.runtime.model import Model
        from pocketphi.runtime.native_backend import NativeBackend

        with Model(open_pocket(measured.path / "model.pocket")) as model:
            yield NativeBackend(model)
    else:
        from pocketphi.runtime.torch_backend import TorchBackend
        from pocketphi.train.loop import default_device

        yield TorchBackend.open(measured.path, device=default_device())


def _report(settings: Mapping[str, Any], _made: Made, out: Path, progress: Progress) -> object:
    from pocketphi.eval.report import write_report

    return write_report(out.parent, out, settings=settings, progress=progress)
