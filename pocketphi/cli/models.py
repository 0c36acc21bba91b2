"""Verbs that keep models: `pull`, `import`, `list`, `show`, `verify`, `rm`."""

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pocketphi.cli.options import Group, Json, Template, one_of
from pocketphi.cli.progress import byte_progress, step_progress
from pocketphi.cli.report import notice
from pocketphi.errors import shown
from pocketphi.serve.text import printable


def pull(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="a name of `pocketphi list --all`, or hf:owner/name[/file.gguf]")
    ],
    bits: Annotated[
        int | None,
        typer.Option(
            parser=one_of(4, 8, 16),
            metavar="4|8|16",
            help="bits per weight, 16 for what the source has; default: 4, or what a GGUF file has",
        ),
    ] = None,
    group: Group = 64,
    template: Template = None,
) -> None:
    """Fetch a model, check it, and keep it as one file.

    A pull that was cut off goes on where it stopped. Prints the file's path.
    """
    from pocketphi.hub import pull as pull_model

    with byte_progress() as progress:
        path = pull_model(name, bits=bits, group=group, template=template, progress=progress)
    print(path)


def import_(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="a GGUF file or a Hugging Face folder")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="the .pocket file to write")],
    bits: Annotated[
        int | None,
        typer.Option(
            parser=one_of(4, 8), metavar="4|8", help="round to so many bits per weight; default: what the source has"
        ),
    ] = None,
    group: Group = 64,
    template: Template = None,
) -> None:
    """Turn a GGUF file or a Hugging Face folder into one .pocket file.

    Q4_0, Q4_1 and Q8_0 weights are kept exactly, other quantized ones are widened, 16 and 32 bit ones
    are rounded where --bits asks for it. Prints the file's path.
    """
    from pocketphi.hub import import_model

    with step_progress("importing") as progress:
        result = import_model(source, out, bits=bits, group=group, template=template, progress=progress)
    print(result)


def list_(
    every: Annotated[bool, typer.Option("--all", help="also those of the catalogue that are not here yet")] = False,
    json: Json = False,
) -> None:
    """List the models on this machine: name, size, parameters, bits per weight."""
    from pocketphi.hub import CATALOGUE, list_models
    from pocketphi.hub.disk import human_size

    stored = list_models()
    absent = [entry for entry in CATALOGUE if every and entry.name not in {model.name for model in stored}]
    if json:
        lines = [{**asdict(model), "path": str(model.path)} for model in stored]
        lines += [{"name": entry.name, "about": entry.about, "licence": entry.licence} for entry in absent]
        print(json_format.dumps(lines, ensure_ascii=False))
        return
    width = max([len(model.name) for model in stored] + [len(entry.name) for entry in absent], default=0)
    for model in stored:
        facts = f"{(model.num_parameters or 0) / 1e6:9,.0f} M  {model.bits_per_weight or 0:5.2f} bits"
        print(f"{model.name:{width}}  {human_size(model.size_bytes):>9}  {shown(model.problem or facts, 400)}")
    for entry in absent:
        print(f"{entry.name:{width}}  {'-':>9}  {entry.about}, {entry.licence}")
    if not stored:
        notice("no model is here yet; `pocketphi pull smollm2-135m` gets one, `pocketphi list --all` shows more")


def show(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|DIR", help="a name, a .pocket file, or what `pocketphi make` left: a stage, a run"
        ),
    ],
    json: Json = False,
) -> None:
    """Print what a model is: shape, formats, memory, template, where it came from.

    Of a directory that a stage made: its settings, its figures and its whole ancestry. Of a run: a line for each stage.
    """
    from pocketphi.cli.lineage import made_at, show_made

    if made := made_at(Path(model)):
        show_made(Path(model), made, json=json)
        return
    from pocketphi.hub import show_model
    from pocketphi.hub.disk import human_size

    facts = asdict(show_model(model))
    if json:
        print(json_format.dumps(facts, ensure_ascii=False))
        return
    memory = facts.pop("memory_bytes")
    for name, value in facts.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                print(f"{name}.{inner}  {_plain(inner_value)}")
        else:
            print(f"{name}  {_plain(value)}")
    for context, num_bytes in memory.items():
        print(f"memory at {context:,} tokens  {human_size(num_bytes)}")


def verify(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL|DIR", help="names, .pocket files, or what `pocketphi make` left")
    ],
) -> None:
    """Check every byte of models, or of the directories of stages, against the hashes kept with them, and the scores
    of an evaluation against its items. Prints the path of each good one."""
    from pocketphi.artifact import verify_artifact
    from pocketphi.cli.lineage import made_at
    from pocketphi.eval.verify import holds_results, refuse_changed
    from pocketphi.hub import verify_model

    for model in models:
        if holds_results(Path(model)):
            refuse_changed(Path(model))
            print(model)
            continue
        if made := made_at(Path(model)):
            for artifact in made:
                verify_artifact(artifact)
                print(artifact.path)
            continue
        with step_progress(f"verifying {model}") as progress:
            path = verify_model(model, progress)
        print(path)


def remove(names: Annotated[list[str], typer.Argument(metavar="NAME", help="names of `pocketphi list`")]) -> None:
    """Delete models, and what unfinished pulls of them left."""
    from pocketphi.hub import remove_model
    from pocketphi.hub.disk import human_size

    for name in names:
        notice(f"{name}: {human_size(remove_model(name))} freed")


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(json_format.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value))
