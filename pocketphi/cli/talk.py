"""`pocketphi chat`."""

import sys
from typing import Annotated

import typer

from pocketphi.chat import template_by_name
from pocketphi.cli.loading import open_model, pull_if_absent
from pocketphi.cli.options import Context, Json, Template, Threads, real, utf8, whole
from pocketphi.cli.report import notice
from pocketphi.config import settings
from pocketphi.errors import UsageError
from pocketphi.serve.defaults import TEMPERATURE, TOP_P


def chat(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="a name, hf:owner/name, or a .pocket file")
    ] = "smollm2-135m",
    prompt: Annotated[str | None, typer.Option(parser=utf8, metavar="TEXT", help="answer this and leave")] = None,
    system: Annotated[
        str | None, typer.Option(parser=utf8, metavar="TEXT", help="what the model is told before the conversation")
    ] = None,
    max_tokens: Annotated[int, typer.Option(parser=whole(1, 131_072), metavar="N", help="longest answer")] = 2048,
    temperature: Annotated[
        float, typer.Option(parser=real(0, 100), metavar="T", help="0: always the likeliest word; higher: more varied")
    ] = TEMPERATURE,
    top_k: Annotated[
        int, typer.Option(parser=whole(0, 2**31), metavar="N", help="draw from the N likeliest tokens; 0: all")
    ] = 0,
    top_p: Annotated[
        float, typer.Option(parser=real(0.001, 1), metavar="P", help="draw from the likeliest with this share")
    ] = TOP_P,
    min_p: Annotated[
        float, typer.Option(parser=real(0, 1), metavar="P", help="drop tokens below this share of the likeliest")
    ] = 0.0,
    repetition_penalty: Annotated[
        float, typer.Option(parser=real(0.01, 100), metavar="X", help="above 1: repeat fewer tokens")
    ] = 1.0,
    frequency_penalty: Annotated[
        float, typer.Option(parser=real(-100, 100), metavar="X", help="subtracted for each time a token was used")
    ] = 0.0,
    presence_penalty: Annotated[
        float, typer.Option(parser=real(-100, 100), metavar="X", help="subtracted once a token was used")
    ] = 0.0,
    seed: Annotated[
        int | None,
        typer.Option(
            parser=whole(0, 2**64 - 1), metavar="N", help="same seed, same answers; default: a new one each time"
        ),
    ] = None,
    threads: Threads = None,
    context: Context = None,
    template: Template = None,
    json: Json = False,
    sample: Annotated[bool, typer.Option("--sample", help="answer two built-in prompts and leave")] = False,
) -> int:
    """Talk to a model.

    At a terminal this opens a conversation; /help there lists what it can do. With --prompt, or with
    a prompt piped in, it prints one answer.
    """
    if sample and (json or prompt is not None):
        raise UsageError(f"`--sample` and `{'--json' if json else '--prompt'}` exclude each other")
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty", hint="say something after `--prompt`")
    if template is not None:
        template_by_name(template)  # a slip of the keyboard is told before a model is loaded
    asks_once = prompt is not None or sample
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not asks_once and not json
    if not at_terminal and not asks_once:
        from pocketphi.serve.oneshot import read_prompt

        if sys.stdin.isatty():
            notice("reading the prompt from the terminal; Ctrl-D ends it")
        prompt = read_prompt(sys.stdin.buffer)

    pull_if_absent(model)
    with open_model(model, threads=threads, context=context) as loaded:
        from pocketphi.runtime.sampling import SamplingOptions

        sampling = SamplingOptions(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            frequency_penalty=frequency_penalty,
            presence_penalty=presence_penalty,
            seed=random_seed() if seed is None else seed,
        )
        with loaded.session(system=system, template=template, sampling=sampling) as session:
            if at_terminal:
                from prompt_toolkit.utils import is_dumb_terminal

                from pocketphi.serve.screen import Screen
                from pocketphi.serve.terminal import chat as chat_at_terminal

                here = settings()
                return chat_at_terminal(
                    session,
                    model_name=loaded.name,
                    sampling=sampling,
                    max_tokens=max_tokens,
                    history_file=here.state_dir / "history",
                    screen=Screen(sys.stdout, has_colour=not here.no_color and not is_dumb_terminal()),
                )
            from pocketphi.serve import oneshot

            if sample:
                oneshot.answer_samples(session, max_tokens=max_tokens)
            elif json:
                oneshot.answer_as_json(session, prompt or "", max_tokens=max_tokens, model_name=loaded.name)
            else:
                oneshot.answer(session, prompt or "", max_tokens=max_tokens)
    return 0


def random_seed() -> int:
    """A seed that nobody chose, short enough to type again."""
    import secrets

    return secrets.randbelow(10**6)
