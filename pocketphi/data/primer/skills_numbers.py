"""Arithmetic and sharing: what is asked, and the one scheme of steps for each question type."""

from pocketphi.data.primer import templates_numbers as templates
from pocketphi.data.primer.problem import Patterns, Problem, Scene, Skill, added, easy, multiplied, slip, taken


def _add(scene: Scene) -> Problem:
    a, b = scene.numbers("add", lambda: easy(scene))
    x, y = scene.names(2)
    things = scene.things()
    frame = scene.frame(templates.ADD)
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("add", templates.ADD, frame, fields)
    thing = things["things"]
    other = y if " and {y}" in _pattern(templates.ADD, scene, template) else x
    verb = "has" if other == y else "gets"
    more = "" if other == y else "more "
    steps = f"{x} has {a} {thing}. {other} {verb} {b} {more}{thing}. {added(a, b)}"
    return Problem("arithmetic", "add", question, steps, str(a + b), slip(scene, a + b), template, ("add", (a, b)))


def _pattern(patterns: Patterns, scene: Scene, template: str) -> str:
    """The pattern that a one-part template names, or nothing."""
    mark = template.rsplit(":", 1)[1]
    if "+" in mark:
        return ""
    part = mark.rstrip("0123456789")
    return (patterns.new if scene.new else patterns.known)[part][int(mark[len(part) :])]


def _subtract(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        rest, b = easy(scene)
        return rest + b - scene.below(2) * min(rest - 1, 3), b

    a, b = scene.numbers("subtract", draw, ordered=True)
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("subtract", templates.SUBTRACT, scene.frame(templates.SUBTRACT), fields)
    steps = f"{x} has {a} {things['things']}. {b} {things['things']} go away. {taken(a, b)}"
    return Problem(
        "arithmetic", "subtract", question, steps, str(a - b), slip(scene, a - b), template, ("subtract", (a, b))
    )


def _two_step(scene: Scene) -> Problem:
    def draw() -> tuple[int, int, int]:
        a, b = easy(scene, limit=40)
        return a, b, scene.between(2, min(a + b - 1, 12))

    a, b, c = scene.numbers("two_step", draw, ordered=True)
    x, y, z = scene.names(3)
    things = scene.things()
    fields = {"x": x, "y": y, "z": z, "a": scene.say(a), "b": scene.say(b), "c": scene.say(c), **things}
    question, template = scene.write("two_step", templates.TWO_STEP, scene.frame(templates.TWO_STEP), fields)
    thing = things["things"]
    steps = f"{x} has {a} {thing}. {x} gets {b} more. {added(a, b)} {c} go away. {taken(a + b, c)}"
    right = a + b - c
    wrong = slip(scene, right, a + b + c)
    return Problem("arithmetic", "two_step", question, steps, str(right), wrong, template, ("two_step", (a, b, c)))


def _start(scene: Scene) -> Problem:
    a, b = scene.numbers("add", lambda: easy(scene))
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("start", templates.START, scene.frame(templates.START), fields)
    thing = things["things"]
    steps = f"{a} {thing} go away. {x} has {b} {thing} left. Before, {x} had both. {added(a, b)}"
    wrong = slip(scene, a + b, abs(a - b))
    return Problem("arithmetic", "start", question, steps, str(a + b), wrong, template, ("add", (a, b)))


def _difference(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        gap, b = easy(scene, limit=60)
        return gap + b, b

    a, b = scene.numbers("subtract", draw, ordered=True)
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    parts = {"tell2": {**fields, "x": y, "a": fields["b"]}}
    frame = scene.frame(templates.DIFFERENCE)
    question, template = scene.write("difference", templates.DIFFERENCE, frame, fields, parts)
    thing = things["things"]
    anonymous = "{x}" not in _pattern(templates.DIFFERENCE, scene, template) and frame == "whole"
    who = (f"There are {a} {thing}.", f"There are {b} {thing}.") if anonymous else (f"{x} has {a}.", f"{y} has {b}.")
    steps = f"{who[0]} {who[1]} {a} is more than {b}. {taken(a, b)}"
    wrong = slip(scene, a - b, a + b)
    return Problem("arithmetic", "difference", question, steps, str(a - b), wrong, template, ("subtract", (a, b)))


def _factors(scene: Scene) -> tuple[int, int]:
    limit = 5 if scene.chance(0.6) else 9
    return scene.between(2, limit), scene.between(2, 10)


def _plural(box: str) -> str:
    return box + ("es" if box.endswith("x") else "s")


def _multiply(scene: Scene) -> Problem:
    a, b = scene.numbers("multiply", lambda: _factors(scene))
    x = scene.names(1)[0]
    things = scene.things()
    box = things["box"]
    fields = {"x": x, "a": scene.say(a), "b": scene.say(b), "boxes": _plural(box), **things}
    question, template = scene.write("multiply", templates.MULTIPLY, scene.frame(templates.MULTIPLY), fields)
    steps = f"There are {a} {_plural(box)}. Each {box} has {b} {things['things']}. {a} x {b}: {multiplied(a, b)}"
    wrong = slip(scene, a * b, a + b)
    return Problem("sharing", "multiply", question, steps, str(a * b), wrong, template, ("multiply", (a, b)))


def _share(scene: Scene) -> Problem:
    share, count = scene.numbers("multiply", lambda: _factors(scene))
    x = scene.names(1)[0]
    things = scene.things()
    a = share * count
    fields = {"x": x, "a": a, "b": scene.say(count), **things}
    question, template = scene.write("share", templates.SHARE, scene.frame(templates.SHARE), fields)
    chain = ", ".join(str(count * step) for step in range(1, share + 1))
    steps = (
        f"There are {a} {things['things']} and {count} parts. Count by {count} up to {a}: {chain}. "
        f"That is {share} times, so {a} / {count} = {share}."
    )
    wrong = slip(scene, share, a - count)
    return Problem("sharing", "share", question, steps, str(share), wrong, template, ("multiply", (share, count)))


SKILLS = (
    Skill("add", "arithmetic", _add, templates.ADD, 4),
    Skill("subtract", "arithmetic", _subtract, templates.SUBTRACT, 4),
    Skill("two_step", "arithmetic", _two_step, templates.TWO_STEP, 2),
    Skill("start", "arithmetic", _start, templates.START, 2),
    Skill("difference", "arithmetic", _difference, templates.DIFFERENCE, 2),
    Skill("multiply", "sharing", _multiply, templates.MULTIPLY, 3),
    Skill("share", "sharing", _share, templates.SHARE, 2),
)
