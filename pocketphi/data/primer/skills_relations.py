"""Comparing, ordering, logic, family, causes and simple science."""

from pocketphi.data.primer import templates_causes as causes
from pocketphi.data.primer import templates_relations as templates
from pocketphi.data.primer import templates_science as science
from pocketphi.data.primer.problem import Problem, Scene, Skill
from pocketphi.data.primer.world import COLOURS, ITEMS, PLACES, words

# dimension: unit words of the restated facts, then the words for more and for less
_DIMENSIONS = {
    "count": ("{x} has {a} {things}.", "has more", "has fewer"),
    "age": ("{x} is {a} years old.", "is older", "is younger"),
    "height": ("{x} has {a} metres.", "is higher", "is lower"),
    "points": ("{x} has {a} points.", "has more", "has fewer"),
}
# plain, more, most, less, least
_ADJECTIVES = (
    ("tall", "taller", "tallest", "shorter", "shortest"),
    ("old", "older", "oldest", "younger", "youngest"),
    ("fast", "faster", "fastest", "slower", "slowest"),
    ("strong", "stronger", "strongest", "weaker", "weakest"),
    ("rich", "richer", "richest", "poorer", "poorest"),
    ("heavy", "heavier", "heaviest", "lighter", "lightest"),
)
_KINDS = words(
    "wug blick dax zub fep toma gorp lirp mipe nold plim quab rint sarn tulk vorp yant zelt brome crad "
    "drell flin grask "
    "hane jusk klem norp pelk spon trem"
)
_REAL_KINDS = words("dog cat horse bird fish rose pine tulip lemon chair table boat car drum ring pupil baker singer")
_DEGREES = tuple(degrees for degrees in range(-30, 141) if degrees not in (0, 100))
_WEATHER = words("sunny rainy windy cold warm dry snowy foggy")


def _compare(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        limit = 10 if scene.chance(0.4) else 30 if scene.chance(0.6) else 99
        a = scene.between(2, limit)
        b = scene.between(2, limit)
        return (a, b) if a != b else (a + 1, b)

    a, b = scene.numbers("compare", draw)
    x, y = scene.names(2)
    things = scene.things()
    frame = scene.frame(templates.COMPARE)
    dimension, end = frame.split()[2].split("_")
    p, q = (x, y) if scene.chance(0.5) else (y, x)
    fields = {"x": x, "a": a, "p": p, "q": q, **things}
    parts = {f"{dimension}2": {**fields, "x": y, "a": b}}
    question, template = scene.write("compare", templates.COMPARE, frame, fields, parts)
    fact, more, less = _DIMENSIONS[dimension]
    big, small = (x, y) if a > b else (y, x)
    answer, wrong = (big, small) if end == "most" else (small, big)
    steps = (
        f"{fact.format(x=x, a=a, **things)} {fact.format(x=y, a=b, **things)} "
        f"{max(a, b)} is more than {min(a, b)}. So {answer} {more if end == 'most' else less}."
    )
    return Problem("ordering", "compare", question, steps, answer, wrong, template, ("compare", (a, b)))


def _order(scene: Scene) -> Problem:
    plain, more, most, less, least = scene.pick(_ADJECTIVES)
    first, second, third = scene.names(3)
    top = scene.chance(0.5)
    pairs = [(first, second), (second, third)]
    if scene.chance(0.5):
        pairs.reverse()
    # Each fact is said again as it comes, in one direction; the order follows from two cases only.
    told = [f"{p} is {more} than {q}." for p, q in pairs]
    x, y, z = scene.shuffled((first, second, third))
    fields = {"plain": plain, "more": more, "less": less, "most": most if top else least, "x": x, "y": y, "z": z}
    parts = {f"tell{index}": {**fields, "p": p, "q": q} for index, (p, q) in enumerate(pairs, 1)}
    question, template = scene.write("order", templates.ORDER, scene.frame(templates.ORDER), fields, parts)
    answer, wrong = (first, third) if top else (third, first)
    steps = f"{told[0]} {told[1]} The order is {first}, {second}, {third}. So the {most if top else least} is {answer}."
    return Problem("ordering", "order", question, steps, answer, wrong, template)


def _syllogism(scene: Scene) -> Problem:
    kind, other = scene.several(_KINDS if scene.chance(0.6) else _REAL_KINDS, 2)
    item, x = scene.names(2)
    yes = scene.chance(0.5)
    answer, wrong = ("yes", "no") if yes else ("no", "yes")
    every = "every" if yes else "no"
    fields = {
        "x": x, "item": item, "kind": kind, "other": other, "Every": every.capitalize(), "every": every,
    }  # fmt: skip
    question, template = scene.write("syllogism", templates.SYLLOGISM, scene.frame(templates.SYLLOGISM), fields)
    follows = "is" if yes else "is not"
    steps = f"{item} is a {kind}. {every.capitalize()} {kind} is a {other}. So {item} {follows} a {other}: {answer}."
    return Problem("logic", "syllogism", question, steps, answer, wrong, template)


def _condition(scene: Scene) -> Problem:
    state, other = scene.several(_WEATHER, 2)
    yes = scene.chance(0.5)
    answer, wrong = ("yes", "no") if yes else ("no", "yes")
    now = state if yes else other
    x, y = scene.names(2)
    place = scene.pick(PLACES)
    fields = {"x": x, "y": y, "place": place, "state": state, "now": now}
    question, template = scene.write("condition", templates.CONDITION, scene.frame(templates.CONDITION), fields)
    check = f"{now} is {state}" if yes else f"{now} is not {state}"
    steps = f"{x} needs it {state} for the {place}. It is {now}. {check.capitalize()}: {answer}."
    return Problem("logic", "condition", question, steps, answer, wrong, template)


def _elimination(scene: Scene) -> Problem:
    colours = scene.several(COLOURS, 3)
    answer, no1, no2 = scene.shuffled(colours)
    x, y = scene.names(2)
    fields = {
        "x": x, "y": y, "item": scene.pick(ITEMS), "c1": colours[0], "c2": colours[1], "c3": colours[2],
    }  # fmt: skip
    parts = {"not1": {**fields, "no": no1}, "not2": {**fields, "no": no2}}
    question, template = scene.write(
        "elimination", templates.ELIMINATION, scene.frame(templates.ELIMINATION), fields, parts
    )
    steps = f"The boxes are {', '.join(colours)}. Not {no1}. Not {no2}. Only {answer} is left."
    return Problem("logic", "elimination", question, steps, answer, no1, template)


# Who one is to the child of a child, or of a sister or brother; and what the one in the middle is to the first.
_RELATIONS = {"mother": "grandmother", "father": "grandfather", "sister": "aunt", "brother": "uncle"}
_CHILD = {"mother": "daughter", "father": "son"}
_SIBLING = {"mother": "sister", "father": "brother"}


def _family(scene: Scene) -> Problem:
    x, y, z = scene.names(3)
    first = scene.pick(tuple(_RELATIONS))
    link = scene.pick(("mother", "father"))
    relation = _RELATIONS[first]
    child = (_SIBLING if first in _SIBLING.values() else _CHILD)[link]
    fields = {
        "x": x, "y": y, "z": z, "parent": first, "link": link, "relation": relation, "child": child,
        "place": scene.pick(PLACES),
    }  # fmt: skip
    question, template = scene.write("family", templates.FAMILY, scene.frame(templates.FAMILY), fields)
    why = f"The {first} of a parent is the {relation}."
    # From the one who is asked about up, name by name.
    steps = f"The {link} of {z} is {y}. The {first} of {y} is {x}. {why} So it is {x}."
    return Problem("family", "family", question, steps, x, y, template)


def _cause(scene: Scene) -> Problem:
    index = scene.below(len(causes.EFFECTS))
    effect = causes.EFFECTS[index]
    x = scene.names(1)[0]
    fields = {"x": x, "thing": scene.pick(effect.things)}
    situations = effect.new if scene.new else effect.known
    place = scene.below(len(situations))
    situation = situations[place].format_map(fields)
    frame = scene.frame(causes.CAUSE)
    asked, mark = scene.write("cause", causes.CAUSE, "ask", fields)
    question = f"{situation} {asked}" if frame == "situation ask" else f"{asked} {situation}"
    number = sum(len(item.new if scene.new else item.known) for item in causes.EFFECTS[:index]) + place
    name, _, ask = mark.rpartition(":")
    template = f"{name}:situation{number}+{ask}" if frame == "situation ask" else f"{name}:{ask}+situation{number}"
    steps = f"{effect.rule.format_map(fields)} So {effect.answer}."
    wrong = scene.pick(causes.EFFECTS[:index] + causes.EFFECTS[index + 1 :]).answer
    return Problem("cause", "cause", question, steps, effect.answer, wrong, template)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _science(scene: Scene) -> Problem:
    frame = scene.frame(science.SCIENCE)
    x, y = scene.names(2)
    fields: dict[str, object] = {"x": x, "y": y}
    combination = None
    if frame in ("float", "magnet"):
        yes_things, no_things = (
            (science.FLOATS, science.SINKS) if frame == "float" else (science.MAGNETIC, science.NOT_MAGNETIC)
        )
        yes = scene.chance(0.5)
        stuff = scene.pick(yes_things if yes else no_things)
        fields["stuff"] = stuff
        subject = stuff[:1].upper() + stuff[1:]
        if frame == "float":
            answer, wrong = ("it floats", "it sinks") if yes else ("it sinks", "it floats")
            steps = f"{subject} is {'lighter' if yes else 'heavier'} than the same amount of water. So {answer}."
        else:
            answer, wrong = ("yes", "no") if yes else ("no", "yes")
            made = "has iron in it" if yes else "has no iron in it"
            steps = f"A magnet pulls iron. {subject} {made}. So the answer is {answer}."
    elif frame == "water":
        (degrees,) = scene.numbers("water", lambda: (scene.pick(_DEGREES),))
        fields["a"] = degrees
        combination = ("water", (degrees,))
        answer = "ice" if degrees < 0 else "water" if degrees < 100 else "steam"
        wrong = scene.pick([form for form in ("ice", "water", "steam") if form != answer])
        rule = {"ice": "below 0", "water": "between 0 and 100", "steam": "above 100"}[answer]
        steps = f"Ice is below 0, steam is above 100. {degrees} is {rule}. So it is {answer}."
    else:
        kind = scene.pick(tuple(science.ANIMALS))
        animal = scene.pick(science.ANIMALS[kind])
        fields |= {"animal": animal, "an": _article(animal)}
        subject = f"{_article(animal).capitalize()} {animal} is {_article(kind)} {kind}."
        facts = science.CLASS_FACTS[kind]
        others = [value for value in science.CLASS_FACTS if value != kind]
        many = science.PLURAL[kind].capitalize()
        if frame == "class":
            answer, wrong, steps = kind, scene.pick(others), f"{subject} {many} have {facts['cover']}."
        else:
            answer = facts[frame]
            wrong = next(value for other in others if (value := science.CLASS_FACTS[other][frame]) != answer)
            said = {
                "cover": f"{many} have {answer} on the body.",
                "legs": f"{many} have {answer} legs.",
                "breath": f"{many} breathe with {answer}.",
                "young": f"{many} {'lay eggs' if answer == 'eggs' else 'have live young'}.",
            }[frame]
            steps = f"{subject} {said}"
    question, template = scene.write("science", science.SCIENCE, frame, fields)
    return Problem("science", "science", question, steps, answer, wrong, template, combination)


SKILLS = (
    Skill("compare", "ordering", _compare, templates.COMPARE, 3),
    Skill("order", "ordering", _order, templates.ORDER, 3),
    Skill("syllogism", "logic", _syllogism, templates.SYLLOGISM, 2),
    Skill("condition", "logic", _condition, templates.CONDITION, 2),
    Skill("elimination", "logic", _elimination, templates.ELIMINATION, 2),
    Skill("family", "family", _family, templates.FAMILY, 3),
    Skill("cause", "cause", _cause, causes.CAUSE, 3),
    Skill("science", "science", _science, science.SCIENCE, 4),
)
