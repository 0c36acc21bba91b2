"""Reading short stories, and reading short programs."""

from pocketphi.data.primer import templates_stories as templates
from pocketphi.data.primer.problem import Combination, Problem, Scene, Skill, added, easy, multiplied, slip
from pocketphi.data.primer.world import ITEMS, PLACES, words

_VARIABLES = words("a b c d e m n p r t u x y z total number count size price points")
_NEW_VARIABLES = words("k q w steps apples money")
_FUNCTIONS = words("add more plus grow up next_one get bigger")
_NEW_FUNCTIONS = words("raise_it climb")
_WORDS = words(
    "cat sun map tree book lamp stone bread green house river table garden window letter summer winter market "
    "bag cup hen ice moon rain road ship snow star milk apple chair cloud grass horse light plant train water"
)


def _where(scene: Scene) -> Problem:
    x, w = scene.names(2)
    item, second = scene.several(ITEMS, 2)
    places = scene.several(PLACES, 4)
    frame = scene.frame(templates.WHERE)
    moves = frame.count("move")
    fields = {"x": x, "w": w, "item": item, "second": second, "from": places[0], "to": places[1], "place": places[3]}
    parts = {"move2": {**fields, "to": places[2]}}
    question, template = scene.write("where", templates.WHERE, frame, fields, parts)
    walk = places[: moves + 1]
    steps = " ".join([f"First the {item} is in the {walk[0]}.", *(f"Then it is in the {to}." for to in walk[1:])])
    wrong = walk[-2] if "other" not in frame or scene.chance(0.5) else places[3]
    again = (scene.pick(templates.WHERE_FIRST).format_map(fields), f"First the {item} is in the {walk[0]}.", walk[0])
    return Problem("stories", "where", question, steps, walk[-1], wrong, template, follow_up=again)


def _who(scene: Scene) -> Problem:
    x, y, z, w = scene.names(4)
    item, second = scene.several(ITEMS, 2)
    frame = scene.frame(templates.WHO)
    gives = frame.count("give")
    fields = {"x": x, "w": w, "item": item, "second": second, "place": scene.pick(PLACES), "p": x, "q": y}
    parts = {"give2": {**fields, "p": y, "q": z}}
    question, template = scene.write("who", templates.WHO, frame, fields, parts)
    owners = [x, y, z][: gives + 1]
    steps = " ".join([f"First {x} has the {item}.", *(f"Then {owner} has it." for owner in owners[1:])])
    wrong = owners[-2] if "other" not in frame or scene.chance(0.5) else w
    again = (scene.pick(templates.WHO_FIRST).format_map(fields), f"First {x} has the {item}.", x)
    return Problem("stories", "who", question, steps, owners[-1], wrong, template, follow_up=again)


def _program(scene: Scene, form: str) -> tuple[dict[str, object], str, str, Combination | None]:
    """The fields of a program of that form, its output, the way there, and the numbers in it."""
    if form in ("sum", "update", "call"):
        a, b = scene.numbers("add", lambda: easy(scene))
        return {"a": a, "b": b}, str(a + b), added(a, b), ("add", (a, b))
    if form == "product":
        c, d = scene.numbers("multiplication", lambda: (scene.between(2, 6), scene.between(2, 10)))
        return {"c": c, "d": d}, str(c * d), multiplied(c, d), ("multiplication", (c, d))
    if form == "branch":
        a, b = scene.numbers("branch", lambda: (scene.between(1, 30), scene.between(1, 30)), ordered=True)
        answer, size = ("yes", "more than") if a > b else ("no", "not more than")
        return {"a": a, "b": b}, answer, f"{a} is {size} {b}. So it prints {answer}.", ("branch", (a, b))
    if form == "letters":
        word = scene.pick(_WORDS)
        spelled = ", ".join(f"{place} is {letter}" for place, letter in enumerate(word, 1))
        return {"word": word}, str(len(word)), f"Count the letters: {spelled}.", None

    count = scene.between(2, 5) if form == "items" else scene.between(3, 4)
    high = 6 if form == "loop" else 20
    numbers = scene.numbers("list", lambda: tuple(scene.between(1, high) for _ in range(count)), ordered=True)
    items = ", ".join(map(str, numbers))
    place = scene.below(count)
    if form == "loop":
        sums = [sum(numbers[:index]) for index in range(count + 1)]
        answer = str(sums[-1])
        work = " ".join(f"{sums[index]} + {numbers[index]} = {sums[index + 1]}." for index in range(count))
    elif form == "index":
        answer = str(numbers[place])
        counted = ", ".join(f"{index} is {number}" for index, number in enumerate(numbers[: place + 1]))
        work = f"Places count from 0: {counted}."
    elif form == "items":
        answer = str(count)
        counted = ", ".join(f"{index} is {number}" for index, number in enumerate(numbers, 1))
        work = f"Count the items: {counted}."
    else:
        answer = str(numbers[-1])
        work = f"-1 means the last one. The last of {items} is {answer}."
    return {"items": items, "i": place}, answer, work, ("list", numbers)


def _python(scene: Scene) -> Problem:
    frame = scene.frame(templates.PYTHON)
    form = frame.split()[1]
    fields, answer, work, combination = _program(scene, form)
    # Held-out programs have variables of their own, as held-out stories have names of their own.
    v, w, s = scene.several(_NEW_VARIABLES if scene.heldout else _VARIABLES, 3)
    f = scene.pick(_NEW_FUNCTIONS if scene.heldout else _FUNCTIONS)
    fields |= {"x": scene.names(1)[0], "v": v, "w": w, "s": s, "f": f}
    question, template = scene.write("python", templates.PYTHON, frame, fields)
    wrong = ("no" if answer == "yes" else "yes") if form == "branch" else slip(scene, int(answer))
    return Problem("python", "python", question, work, answer, wrong, template, combination)


SKILLS = (
    Skill("where", "stories", _where, templates.WHERE, 4),
    Skill("who", "stories", _who, templates.WHO, 4),
    Skill("python", "python", _python, templates.PYTHON, 4),
)
