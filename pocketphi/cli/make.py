"""Verbs that make a model: `make` runs a recipe, a verb for each stage runs that one, `schema` describes recipes."""

import json as json_format
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocketphi import isolated
from pocketphi.cli.options import Group
from pocketphi.cli.report import notice
from pocketphi.errors import UsageError, UserError, reason_of

if TYPE_CHECKING:
    from pocketphi.artifact import Artifact
    from pocketphi.recipe import Recipe
    from pocketphi.stages import Outcome

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="a TOML file; recipes/ has some")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="the run's directory; default: runs/ and the recipe's name")
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FOLDER", help="mix in your own text, Markdown, HTML and WARC files; repeatable"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a key, for instance sft.learning_rate=2e-5; repeatable"),
]


def make(
    recipe: RecipeFile,
    out: Out = None,
    data: Data = None,
    set_: Set = None,
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="stop after this stage, or after the last of a verb's")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="STAGE", help="make this stage, or the first of a verb's, and all after it again"
        ),
    ] = None,
) -> None:
    """Make a model: run every stage of a recipe.

    What is finished is skipped, what was cut off goes on: after a kill, run the same command again. STAGE is a stage's
    directory in the run, such as `phase1` or `evaluation-sft`, or one of the verbs curate, tokenize, pretrain, evaluate
    and quantize. Prints the path of the report.
    """
    outcomes = _run(_recipe(recipe, data, set_), out, until=until, redo_from=from_)
    if outcomes:
        last = outcomes[-1].artifact.path
        print(last / "report.html" if (last / "report.html").is_file() else last)


def schema() -> None:
    """Print the JSON schema of recipes, for editors to complete and check with."""
    from pocketphi.recipe import recipe_schema

    print(json_format.dumps(recipe_schema(), indent=1, ensure_ascii=False))


def primer(recipe: RecipeFile, out: Out = None, set_: Set = None) -> None:
    """Write the embedded corpus of a recipe: pages, lessons, exercises, held-out questions."""
    _run_verb("primer", recipe, out, None, set_)


def curate(
    sources: Annotated[
        list[Path], typer.Argument(metavar="RECIPE|FOLDER...", help="a recipe, or folders of pages and archives")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="the run's directory, or for folders the corpus to write"),
    ] = None,
    data: Data = None,
    set_: Set = None,
) -> None:
    """Turn raw pages into a clean corpus: text, language, filters, duplicates, educational value.

    Of a recipe, the stage `corpus`. Of folders, every page and archive in them. Prints the corpus's path.
    """
    if len(sources) == 1 and sources[0].suffix == ".toml":
        _run_verb("curate", sources[0], out, data, set_)
        return
    if out is None or data or set_:
        raise UsageError("folders are curated into a directory of their own: give --out, and neither --data nor --set")
    from pocketphi.cli.watch import funnel

    corpus = _make_one("corpus", _curate_folders, {"folders": [str(source) for source in sources]}, out)
    for line in funnel(corpus):
        notice(line)
    print(corpus.path)


def tokenize(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Learn a tokenizer from the corpus of a recipe, and turn the corpus into tokens."""
    _run_verb("tokenize", recipe, out, data, set_)


def pretrain(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Pretrain the model of a recipe, both phases."""
    _run_verb("pretrain", recipe, out, data, set_)


def sft(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Tune the pretrained model of a recipe on conversations."""
    _run_verb("sft", recipe, out, data, set_)


def dpo(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Teach the tuned model of a recipe to prefer good answers."""
    _run_verb("dpo", recipe, out, data, set_)


def evaluate(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Ask every finished checkpoint and model of a recipe the held-out questions."""
    _run_verb("evaluate", recipe, out, data, set_)


def quantize(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="a stage that trained, such as runs/nano/dpo, or a Hugging Face folder"
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="the directory to write; it holds model.pocket")
    ],
    group: Group = 64,
) -> None:
    """Round a checkpoint to 4-bit weights. Prints the path of the model file."""
    model = _make_one("quantize", _quantize_checkpoint, {"checkpoint": str(checkpoint), "group": group}, out)
    print(model.path / "model.pocket")


def report(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Write the report of a recipe's run: one HTML page, made to be looked at."""
    _run_verb("report", recipe, out, data, set_)


def _make_one(name: str, function: Callable[..., None], argument: Mapping[str, Any], out: Path) -> "Artifact":
    """Make `out` in a process of its own, as a run makes a stage: what a library does at Ctrl-C stays in there."""
    from pocketphi.artifact import open_artifact
    from pocketphi.cli.watch import one_stage

    if out.name in ("", ".."):
        raise UsageError(f"`{out}` is no name for a directory to write: give one")
    log = out.with_name(f"{out.name}.log")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise UserError(
            f"cannot write `{out}`: {reason_of(error)}",
            hint="choose a place that you may write to",
        ) from error
    try:
        with one_stage(name) as progress:
            isolated.call(
                function, {**argument, "out": str(out)}, log=log, on_message=lambda message: progress(*message)
            )
        made = open_artifact(out)
    except UserError:
        if not log.stat().st_size:  # otherwise it tells what its libraries said at their end
            log.unlink()
        raise
    except KeyboardInterrupt:
        log.unlink()
        raise
    log.unlink()
    return made


def _curate_folders(argument: Mapping[str, Any], send: isolated.Send) -> None:
    from pocketphi.data.curate import curate as curate_pages
    from pocketphi.pipeline import progress_over
    from pocketphi.recipe import Curate

    folders = [Path(folder) for folder in argument["folders"]]
    curate_pages(Curate(), None, folders, Path(argument["out"]), seed=1, progress=progress_over(send))


def _quantize_checkpoint(argument: Mapping[str, Any], send: isolated.Send) -> None:
    from pocketphi.artifact import is_artifact, open_artifact
    from pocketphi.pipeline import progress_over
    from pocketphi.quant.quantize import quantize as quantize_checkpoint
    from pocketphi.recipe import Quantize

    table = Quantize.model_validate({"group": argument["group"]})
    checkpoint = Path(argument["checkpoint"])
    source = open_artifact(checkpoint, "checkpoint") if is_artifact(checkpoint) else checkpoint
    quantize_checkpoint(table, source, Path(argument["out"]), seed=1, progress=progress_over(send))


def _run_verb(verb: str, path: Path, out: Path | None, data: list[Path] | None, set_: list[str] | None) -> None:
    """Run the stages of a verb, and print where each of them is."""
    from pocketphi.pipeline import stages_named, stages_of

    recipe = _recipe(path, data, set_)
    names = stages_named(verb, stages_of(recipe))
    for outcome in _run(recipe, out, only=names):
        if outcome.stage in names:
            print(outcome.artifact.path)


def _run(
    recipe: "Recipe",
    out: Path | None,
    *,
    until: str | None = None,
    redo_from: str | None = None,
    only: Collection[str] | None = None,
) -> list["Outcome"]:
    from pocketphi.cli.watch import print_summary, watching
    from pocketphi.pipeline import make as make_recipe

    with watching() as view:
        outcomes = make_recipe(
            recipe, out or Path("runs") / recipe.name, view=view, until=until, redo_from=redo_from, only=only
        )
    print_summary(outcomes)
    return outcomes


def _recipe(path: Path, data: list[Path] | None, set_: list[str] | None) -> "Recipe":
    from pocketphi.recipe import load_recipe

    return load_recipe(path, set_ or (), data or ())
