"""Arithmetic and sharing: what is asked, and the one scheme of steps for each question type."""

from pocketphi.data.primer import templates_numbers as templates
from pocketphi.data.primer import templates_sharing as sharing
from pocketphi.data.primer.problem import Problem, Scene, Skill, added, divided, easy, multiplied, slip, taken


def _add(scene: Scene) -> Problem:
    a, b = scene.numbers("add", lambda: easy(scene))
    x, y = scene.names(2)
    things = scene.things()
    frame = scene.frame(templates.ADD)
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("add", templates.ADD, frame, fields)
    second = f"{y} has" if frame == "both" else f"{x} gets"
    steps = f"{x} has {a} {things['things']}. {second} {b}{'' if frame == 'both' else ' more'}. {added(a, b)}"
    total = a + b
    less = None
    # Held-out questions have one turn, and not every total has a held-out number to take away.
    if frame != "both" and not scene.heldout:
        _, c = scene.numbers("subtract", lambda: (total, scene.between(1, total)), ordered=True)
        asked = scene.pick(templates.THEN_LESS).format(x=x, c=c)
        less = (asked, f"{x} has {total} {things['things']}. {c} go away. {taken(total, c)}", str(total - c))
    return Problem(
        "arithmetic", "add", question, steps, str(total), slip(scene, total), template, ("add", (a, b)), less
    )


def _subtract(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        rest, b = easy(scene)
        return rest + b - scene.below(2) * min(rest - 1, 3), b

    a, b = scene.numbers("subtract", draw, ordered=True)
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("subtract", templates.SUBTRACT, scene.frame(templates.SUBTRACT), fields)
    steps = f"{x} has {a} {things['things']}. {b} go away. {taken(a, b)}"
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
    steps = f"{x} has {a} {things['things']}. {x} gets {b} more. {added(a, b)} {c} go away. {taken(a + b, c)}"
    right = a + b - c
    wrong = slip(scene, right, a + b + c)
    return Problem("arithmetic", "two_step", question, steps, str(right), wrong, template, ("two_step", (a, b, c)))


def _start(scene: Scene) -> Problem:
    a, b = scene.numbers("add", lambda: easy(scene))
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("start", templates.START, scene.frame(templates.START), fields)
    steps = f"{a} {things['things']} go away. {x} has {b} left. Before there were both. {added(a, b)}"
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
    steps = f"{x} has {a}. {y} has {b}. {a} is more than {b}. {taken(a, b)}"
    wrong = slip(scene, a - b, a + b)
    return Problem("arithmetic", "difference", question, steps, str(a - b), wrong, template, ("subtract", (a, b)))


def _factors(scene: Scene) -> tuple[int, int]:
    limit = 5 if scene.chance(0.75) else 9
    return scene.between(2, limit), scene.between(2, 10)


def _plural(box: str) -> str:
    return box + ("es" if box.endswith("x") else "s")


def _multiply(scene: Scene) -> Problem:
    a, b = scene.numbers("multiplication", lambda: _factors(scene))
    x, y = scene.names(2)
    things = scene.things()
    box = things["box"]
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), "boxes": _plural(box), **things}
    question, template = scene.write("multiply", sharing.MULTIPLY, scene.frame(sharing.MULTIPLY), fields)
    steps = f"There are {a} {_plural(box)}. Each has {b} {things['things']}. {multiplied(a, b)}"
    wrong = slip(scene, a * b, a + b)
    return Problem("sharing", "multiply", question, steps, str(a * b), wrong, template, ("multiplication", (a, b)))


def _share(scene: Scene) -> Problem:
    share, count = scene.numbers("multiplication", lambda: _factors(scene))
    x, y = scene.names(2)
    things = scene.things()
    a = share * count
    fields = {"x": x, "y": y, "a": a, "b": scene.say(count), **things}
    question, template = scene.write("share", sharing.SHARE, scene.frame(sharing.SHARE), fields)
    steps = f"There are {a} {things['things']} and {count} parts. {divided(a, count)} So each part has {share}."
    wrong = slip(scene, share, a - count)
    return Problem("sharing", "share", question, steps, str(share), wrong, template, ("multiplication", (share, count)))


SKILLS = (
    Skill("add", "arithmetic", _add, templates.ADD, 4),
    Skill("subtract", "arithmetic", _subtract, templates.SUBTRACT, 4),
    Skill("two_step", "arithmetic", _two_step, templates.TWO_STEP, 2),
    Skill("start", "arithmetic", _start, templates.START, 2),
    Skill("difference", "arithmetic", _difference, templates.DIFFERENCE, 2),
    Skill("multiply", "sharing", _multiply, sharing.MULTIPLY, 3),
    Skill("share", "sharing", _share, sharing.SHARE, 2),
)
