"""The verb `eval`: the report's benchmark table, or any other tasks, for a model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketphi.cli.options import Context, Threads, whole
from pocketphi.cli.report import notice
from pocketphi.errors import UsageError, UserError

if TYPE_CHECKING:
    from pocketphi.eval.harness.prepare import Subject
    from pocketphi.eval.harness.published import PublishedTask
    from pocketphi.eval.results import Results, TaskResult
    from pocketphi.eval.tasks.task import BenchTask

_ADDRESS = ("http://", "https://")


def eval_(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="a name, a .pocket file, a run or checkpoint of `make`, a Hugging Face folder, or the address of an "
            "OpenAI-compatible server",
        ),
    ] = None,
    tasks: Annotated[
        str, typer.Option(metavar="NAMES", help="tasks and groups, separated by commas; `--list` shows ours")
    ] = "phi3",
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="benchmark files (docs/evaluation.md tells their form)")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(parser=whole(1, 10**9), metavar="N", help="items of each task, at most")
    ] = None,
    shots: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="worked examples: for all tasks, or as NAME=N,NAME=N; default: each task's own number"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(parser=whole(0, 2**31 - 1), metavar="N", help="draws worked examples")] = 1,
    chat: Annotated[bool, typer.Option("--chat", help="ask in the model's chat form")] = False,
    formats: Annotated[
        int, typer.Option(parser=whole(1, 8), metavar="N", help="prompt formats to try: how far does the score move?")
    ] = 1,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="text that the model was trained on, to look for the items in; repeatable"),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="compare with a finished evaluation, item by item; repeatable"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="where results go; default: evals/ and the name, numbered if need be"
        ),
    ] = None,
    backend: Annotated[
        Literal["native", "torch"] | None,
        typer.Option(help="what runs the weights; default: the engine for model files, torch for checkpoints"),
    ] = None,
    context: Context = None,
    threads: Threads = None,
    activation_bits: Annotated[
        Literal["8", "16"],
        typer.Option(help="what the engine rounds activations to: 8 as in use, 16 near single precision, slower"),
    ] = "8",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="keep no answers, and use none from before")] = False,
    list_: Annotated[bool, typer.Option("--list", help="list tasks and groups, and leave")] = False,
) -> None:
    """Measure a model on benchmarks.

    The report's table by default; any task of lm-evaluation-harness by its name. Answers are kept, so a killed run
    goes on where it stopped. Prints a table and the path of the page.
    """
    if list_:
        _print_tasks()
        return
    if model is None:
        raise UsageError("there is no MODEL to measure", hint="`pocketphi list` shows those that are here")
    try:
        import lm_eval  # noqa: F401 - is it there?
    except ImportError as error:
        raise UserError("`eval` needs lm-evaluation-harness", hint="pip install 'pocketphi[eval]'") from error
    from pocketphi.cli.watch import one_stage
    from pocketphi.config import settings
    from pocketphi.eval.harness.prepare import Options
    from pocketphi.eval.harness.run import answers_path, evaluate
    from pocketphi.eval.results import read_results

    here = settings()
    data = data or (here.data_dir and here.data_dir / "bench")
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    chosen = _chosen(names, data)
    for folder in against or ():
        read_results(folder)  # before hours are spent
    with open_subject(
        model, backend=backend, context=context, threads=threads, activation_bits=int(activation_bits)
    ) as subject:
        options = Options(
            data=data,
            optional=frozenset(task.name for task in chosen) - set(names),
            limit=limit,
            shots=_shots(shots, [task.name for task in chosen]),
            seed=seed,
            chat=chat,
            formats=formats,
            corpus=tuple(corpus or ()),
            against=tuple(against or ()),
            cache=None if no_cache else answers_path(here.cache_dir / "eval", subject),
        )
        place = out or Path("evals") / subject.name
        try:
            with one_stage("eval") as progress:
                found = evaluate(subject, chosen, options, place, numbered=out is None, progress=progress)
        except KeyboardInterrupt:
            if not no_cache:
                notice("what was answered is kept: the same command goes on from there")
            raise
    for line in table(read_results(found.path)):
        print(line)
    for line in _compared(found.path, against or ()):
        print(line)
    print(found.path / "report.html")
    if failed := found.summary.get("failed"):
        raise UserError(
            f"{len(failed)} of {len(chosen)} tasks failed: {', '.join(failed)}; the table says why",
            hint="what was answered is kept: the same command goes on from there",
        )


def _shots(given: str | None, tasks: Sequence[str]) -> "int | dict[str, int] | None":
    """`3`, or `NAME=3,NAME=0`."""
    if given is None:
        return None
    number = whole(0, 100)
    if "=" not in given:
        return number(given)
    pairs = [part.partition("=") for part in given.split(",") if part.strip()]
    found = {name.strip(): number(value) for name, _, value in pairs}
    if unknown := [name for name in found if name not in tasks]:
        raise UsageError(f"`--shots` names `{unknown[0]}`, which is not among the tasks")
    return found


def _chosen(names: Sequence[str], data: Path | None) -> "list[BenchTask | PublishedTask]":
    """Tasks of ours, of a language that the data folder has, or of the harness, in the order of their names."""
    from pocketphi.eval.tasks.catalogue import GROUPS, TASKS, find_tasks
    from pocketphi.eval.tasks.multilingual import multilingual_mmlu

    if not names:
        raise UsageError("`--tasks` names none", hint="`pocketphi eval --list` lists ours")
    languages = {task.name: task for task in (multilingual_mmlu(data) if data else ())}
    theirs = [name for name in names if name not in GROUPS and name not in TASKS and name not in languages]
    found: dict[str, BenchTask | PublishedTask] = {}
    if theirs:
        from pocketphi.eval.harness.published import find_published

        found.update({task.name: task for task in find_published(theirs, [*GROUPS, *TASKS])})
    for name in names:
        if name in languages:
            found[name] = languages[name]
        elif name not in theirs:
            found.update({task.name: task for task in find_tasks([name])})
    return list(found.values())


def _print_tasks() -> None:
    from pocketphi.eval.tasks.catalogue import GROUPS, TASKS

    grouped = {name: [task.name for task in members] for name, members in GROUPS.items()}
    alone = [name for name in TASKS if not any(name in members for members in grouped.values())]
    for name, members in {**grouped, "others": alone}.items():
        if not members:
            continue
        print(f"{name}: {', '.join(members)}")


@contextmanager
def open_subject(
    model: str,
    *,
    backend: Literal["native", "torch"] | None,
    context: int | None,
    threads: int | None,
    activation_bits: int = 8,
) -> "Iterator[Subject]":
    """What is measured, from its name.

    Raises:
        UserError: it is nowhere, damaged, or does not fit in memory.
    """
    from pocketphi.artifact import is_artifact
    from pocketphi.eval.harness.prepare import Subject
    from pocketphi.hub import resolve
    from pocketphi.manifest import digest_of, digest_of_value, file_digest

    path = Path(model)
    if model.startswith(_ADDRESS):
        from pocketphi.runtime.endpoint_backend import EndpointBackend

        if activation_bits != 8:
            raise UsageError("`--activation-bits` is the engine's, and a server runs this model")
        remote = EndpointBackend.connect(model, max_context=context, notice=notice)
        yield Subject(backend=remote, name=remote.name, digest=digest_of(remote.identity.encode()), kind="endpoint")
        return
    is_checkpoint = (path / "config.json").is_file()
    if backend == "torch" or (backend is None and is_checkpoint):
        if context is not None or threads is not None or activation_bits != 8:
            raise UsageError("`--context`, `--threads` and `--activation-bits` are the engine's; torch runs this model")
        from pocketphi.runtime.torch_backend import TorchBackend
        from pocketphi.train.loop import default_device

        place = path if is_checkpoint else resolve(model)
        name = path.resolve().name if is_checkpoint else place.stem
        files = sorted(place.glob("*.safetensors")) if is_checkpoint else [place]
        digest = digest_of_value([file_digest(file) for file in files])
        yield Subject(backend=TorchBackend.open(place, device=default_device()), name=name, digest=digest, kind="torch")
        return
    from pocketphi.cli.loading import open_model, pull_if_absent
    from pocketphi.runtime.native_backend import NativeBackend

    pull_if_absent(model)
    place = resolve(model)
    name = path.resolve().name if is_artifact(path) or path.is_dir() else place.stem
    with open_model(model, threads=threads, context=context, activation_bits=activation_bits) as loaded:
        kind = "native" if activation_bits == 8 else "native-16"
        yield Subject(backend=NativeBackend(loaded), name=name, digest=file_digest(place), kind=kind)


def table(results: "Results") -> list[str]:
    """A line for each task: score, standard error, interval, items."""
    rows = [("task", "metric", "score", "±", "95 %", "items", "shots")]
    for task in results.tasks.values():
        score = task.scores.get(task.metric)
        if score is None:
            rows.append((task.name, task.note, "", "", "", "", ""))
            continue
        rows.append(
            (
                task.name,
                task.metric,
                f"{100 * score.value:.1f}",
                f"{100 * score.standard_error:.1f}",
                f"{100 * score.low:.1f} to {100 * score.high:.1f}",
                f"{score.count:,}",
                str(task.shots),
            )
        )
    widths = [max(len(row[column]) for row in rows if row[2]) for column in range(7)]
    lines = []
    for row in rows:
        if not row[2]:
            lines.append(f"{row[0]}: {row[1]}")
            continue
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*left, *right]))
        if row[0] in results.tasks:
            lines += [f"  {line}" for line in _more(results.tasks[row[0]])]
    return lines


def _more(task: "TaskResult") -> list[str]:
    """What else was measured: other scores, other formats, what the corpus holds."""
    lines = [
        f"{name}: {100 * score.value:.1f} ± {100 * score.standard_error:.1f}"
        for name, score in task.scores.items()
        if name != task.metric
    ]
    if task.formats:
        low, high = min(task.formats.values()), max(task.formats.values())
        lines.append(f"{len(task.formats)} formats: {100 * low:.1f} to {100 * high:.1f}")
    lines += [
        f"in the corpus ({rule}): {seen['dirty_count']:,} of {seen['count']:,}"
        for rule, seen in task.contamination.items()
    ]
    return lines


def _compared(folder: Path, against: Sequence[Path]) -> list[str]:
    from pocketphi.eval.against import compare_runs, table_of

    lines = []
    for other in against:
        lines += ["", f"{folder} against {other}", *table_of(compare_runs(folder, other))]
    if lines:
        notice("differences are this run minus the other, item by item")
    return lines
