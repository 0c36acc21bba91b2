"""Write docs/cli.md from the program itself: help texts, the chat's commands, the environment.

`--check` writes nothing and fails when the file is not what would be written.
"""

import ast
import inspect
import sys
import textwrap
from pathlib import Path

import typer

from pocketphi import config
from pocketphi.cli import report
from pocketphi.cli.app import app
from pocketphi.serve.commands import COMMANDS

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
WIDTH = 96


def page() -> str:
    """The whole of docs/cli.md."""
    root = typer.main.get_command(app)
    parts = [
        "# The command line\n",
        "Written by `make docs` from the program's own help; edit that instead.\n",
        help_block(root, "pocketphi", None),
    ]
    context = typer.Context(root, info_name="pocketphi")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        parts += [f"## `pocketphi {name}`\n", help_block(command, name, context)]
    parts += ["## In the chat\n", "| type | to |", "| --- | --- |"]
    parts += [
        f"| `{f'/{command.name} {command.argument}'.strip()}` | {command.about} |" for command in COMMANDS.values()
    ]
    parts += [
        '\nEnter sends. Alt-Enter (or Esc, then Enter) starts a new line, and so does Enter between `"""` and `"""`.',
        "Ctrl-C stops an answer; twice, or Ctrl-D, at the empty prompt leaves.\n",
        "## Environment\n",
        *settings_lines(),
        "\n`NO_COLOR` and `TERM=dumb` are honoured everywhere.\n",
        "## Exit codes\n",
        exit_codes(),
    ]
    return "\n".join(parts)


def help_block(command: typer.core.TyperCommand, name: str, parent: typer.Context | None) -> str:
    context = typer.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
    return f"```text\n{command.get_help(context).rstrip()}\n```\n"


def settings_lines() -> list[str]:
    """What the docstring below each field of `Settings` says."""
    (body,) = (
        node.body for node in ast.parse(inspect.getsource(config.Settings)).body if isinstance(node, ast.ClassDef)
    )
    texts = [
        node.value.value
        for node in body[1:]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return [f"- {' '.join(text.split())}" for text in texts]


def exit_codes() -> str:
    """The table in the docstring of `report`."""
    assert report.__doc__
    lines = [line for line in report.__doc__.splitlines() if line.startswith("    ")]
    return f"```text\n{textwrap.dedent(chr(10).join(lines))}\n```\n"


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print("error: docs/cli.md is not what the program says\n\nhint: run `make docs`", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
