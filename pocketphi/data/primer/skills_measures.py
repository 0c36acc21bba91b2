"""Money, units, time and number patterns."""

from pocketphi.data.primer import templates_measures as templates
from pocketphi.data.primer.problem import Problem, Scene, Skill, multiplied, slip, taken
from pocketphi.data.primer.world import WEEKDAYS

# from, to, how many of `to` make one of `from`, largest count
_UNITS = (
    ("metres", "centimetres", 100, 20),
    ("kilometres", "metres", 1000, 12),
    ("kilograms", "grams", 1000, 12),
    ("litres", "millilitres", 1000, 12),
    ("centimetres", "millimetres", 10, 60),
    ("dollars", "cents", 100, 20),
    ("weeks", "days", 7, 9),
    ("years", "months", 12, 6),
    ("minutes", "seconds", 60, 6),
    ("hours", "minutes", 60, 6),
    ("pairs", "single pieces", 2, 12),
)


def _cost(scene: Scene) -> Problem:
    a, b = scene.numbers(
        "multiplication", lambda: (scene.between(2, 5 if scene.chance(0.75) else 9), scene.between(2, 10))
    )
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": scene.say(a), "b": scene.say(b), **things}
    question, template = scene.write("cost", templates.COST, scene.frame(templates.COST), fields)
    steps = f"One {things['thing']} costs {b} dollars. There are {a} {things['things']}. {multiplied(a, b)}"
    wrong = slip(scene, a * b, a + b)
    return Problem("money", "cost", question, steps, str(a * b), wrong, template, ("multiplication", (a, b)))


def _change(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        paid = scene.pick((5, 10, 10, 20, 20, 20, 50)) if scene.chance(0.75) else scene.between(5, 40)
        return paid, scene.between(2, paid - 1)

    a, b = scene.numbers("subtract", draw, ordered=True)
    x, y = scene.names(2)
    things = scene.things()
    fields = {"x": x, "y": y, "a": a, "b": scene.say(b), **things}
    question, template = scene.write("change", templates.CHANGE, scene.frame(templates.CHANGE), fields)
    steps = f"The price is {b} dollars. There are {a} dollars to pay. {taken(a, b)}"
    return Problem("money", "change", question, steps, str(a - b), slip(scene, a - b), template, ("subtract", (a, b)))


def _convert(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        factor = scene.pick(_UNITS)
        return scene.between(2, factor[3]), _UNITS.index(factor)

    count, index = scene.numbers("convert", draw, ordered=True)
    big, small, factor, _ = _UNITS[index]
    x, y = scene.names(2)
    down = factor == 12 or factor == 60 or factor == 7 or scene.chance(0.7)
    amount, answer = (count, count * factor) if down else (count * factor, count)
    first, second = (big, small) if down else (small, big)
    fields = {"x": x, "y": y, "a": scene.say(amount), "from": first, "to": second}
    question, template = scene.write("convert", templates.CONVERT, scene.frame(templates.CONVERT), fields)
    rule = f"1 {big.rstrip('s')} is {factor} {small}."
    if not down:
        work = f"{amount} {small} are {answer} x {factor}, so it is {answer} {big}."
    elif factor in (10, 100, 1000, 2):
        work = f"{count} x {factor} = {answer}."
    else:
        work = multiplied(count, factor)
    wrong = slip(scene, answer, answer * 10)
    return Problem(
        "units", "convert", question, f"{rule} {work}", str(answer), wrong, template, ("convert", (count, index))
    )


def _clock(minutes: int) -> str:
    hour = minutes // 60 % 12 or 12
    return f"{hour}:{minutes % 60:02d}"


def _later(scene: Scene) -> Problem:
    def draw() -> tuple[int, int, int]:
        level = scene.rng.random()
        minute = scene.pick((0, 0, 15, 30, 45)) if level < 0.8 else 5 * scene.below(12)
        span = 60 * scene.between(1, 5) if level < 0.6 else scene.pick((10, 15, 20, 30, 30, 40, 45))
        return scene.between(1, 12), minute, span

    hour, minute, span = scene.numbers("later", draw, ordered=True)
    x = scene.names(1)[0]
    start = f"{hour}:{minute:02d}"
    hours = span // 60
    length = (f"{hours} hour{'s' * (hours > 1)}") if hours else f"{span} minutes"
    question, template = scene.write(
        "later", templates.LATER, scene.frame(templates.LATER), {"x": x, "start": start, "span": length}
    )
    end = _clock(hour * 60 + minute + span)
    if hours:
        work = f"{hour} + {hours} = {hour + hours}."
        if hour + hours > 12:
            work += f" {hour + hours} - 12 = {hour + hours - 12}."
    else:
        work = f"{minute} + {span} = {minute + span}."
        if minute + span >= 60:
            work += f" {minute + span} - 60 = {minute + span - 60}. One hour more than {hour} is {hour % 12 + 1}."
    steps = f"It starts at {start}. {length} go by. {work} So it is {end}."
    wrong = _clock(hour * 60 + minute + span + scene.pick((-60, 60, 15)))
    return Problem("time", "later", question, steps, end, wrong, template, ("later", (hour, minute, span)))


def _duration(scene: Scene) -> Problem:
    def draw() -> tuple[int, int, int]:
        start = scene.between(1, 11)
        hours = scene.between(1, 12 - start) if scene.chance(0.75) else scene.between(2, 9)
        return start, scene.pick((0, 0, 15, 30, 45)), hours

    start, minute, hours = scene.numbers("duration", draw, ordered=True)
    x = scene.names(1)[0]
    first, last = f"{start}:{minute:02d}", _clock((start + hours) * 60 + minute)
    question, template = scene.write(
        "duration", templates.DURATION, scene.frame(templates.DURATION), {"x": x, "start": first, "end": last}
    )
    end = (start + hours - 1) % 12 + 1
    if start + hours > 12:
        work = f"From {start} to 12 it is {12 - start}. Then {end} more. {12 - start} + {end} = {hours}."
    else:
        work = f"{end} - {start} = {hours}."
    steps = f"It starts at {first}. It ends at {last}. {work}"
    return Problem(
        "time",
        "duration",
        question,
        steps,
        str(hours),
        slip(scene, hours),
        template,
        ("duration", (start, minute, hours)),
    )


def _weekday(scene: Scene) -> Problem:
    day, count = scene.numbers("day", lambda: (scene.below(7), scene.between(2, 6)), ordered=True)
    x, y = scene.names(2)
    question, template = scene.write(
        "weekday",
        templates.WEEKDAY,
        scene.frame(templates.WEEKDAY),
        {"x": x, "y": y, "day": WEEKDAYS[day], "a": scene.say(count)},
    )
    walk = [WEEKDAYS[(day + step) % 7] for step in range(1, count + 1)]
    counted = ", ".join(f"{step} {name}" for step, name in enumerate(walk, 1))
    steps = f"Start at {WEEKDAYS[day]} and count {count} days: {counted}."
    wrong = WEEKDAYS[(day + count + scene.pick((-1, 1))) % 7]
    return Problem("time", "weekday", question, steps, walk[-1], wrong, template, ("day", (day, count)))


def _row(scene: Scene) -> tuple[int, int, int]:
    """Start, step, and 1 for a row that doubles (the step is then not used)."""
    level = scene.rng.random()
    if level < 0.1:
        return scene.between(1, 9), 0, 1
    if level < 0.3:
        step = scene.between(2, 6)
        return scene.between(5 * step, 5 * step + 20), -step, 0
    return scene.between(1, 12 if level < 0.85 else 40), scene.pick((1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10)), 0


def _terms(start: int, step: int, doubles: int, count: int) -> list[int]:
    return [start * 2**index if doubles else start + step * index for index in range(count)]


def _sequence(scene: Scene) -> Problem:
    start, step, doubles = scene.numbers("row", lambda: _row(scene), ordered=True)
    terms = _terms(start, step, doubles, 5)
    shown, answer = terms[:4], terms[4]
    x, y = scene.names(2)
    question, template = scene.write(
        "sequence", templates.SEQUENCE, "ask", {"x": x, "y": y, "list": ", ".join(map(str, shown))}
    )
    if doubles:
        steps = f"Each number is 2 times the one before. The last number is {shown[-1]}. 2 x {shown[-1]} = {answer}."
    elif step > 0:
        step_found = f"{shown[1]} - {shown[0]} = {step}, so each step adds {step}."
        steps = f"{step_found} The last number is {shown[-1]}. {shown[-1]} + {step} = {answer}."
    else:
        step_found = f"{shown[0]} - {shown[1]} = {-step}, so each step takes {-step}."
        steps = f"{step_found} The last number is {shown[-1]}. {shown[-1]} - {-step} = {answer}."
    return Problem(
        "sequences",
        "sequence",
        question,
        steps,
        str(answer),
        slip(scene, answer),
        template,
        ("row", (start, step, doubles)),
    )


def _missing(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        start, step, _ = _row(scene)
        return start, step or 2

    start, step = scene.numbers("gap", draw, ordered=True)
    terms = _terms(start, step, 0, 5)
    gap = scene.between(2, 3)
    x, y = scene.names(2)
    shown = ", ".join("_" if index == gap else str(term) for index, term in enumerate(terms))
    question, template = scene.write("missing", templates.MISSING, "ask", {"x": x, "y": y, "list": shown})
    size = abs(step)
    high, low = max(terms[:2]), min(terms[:2])
    sign, word = ("+", "adds") if step > 0 else ("-", "takes")
    before, answer = terms[gap - 1], terms[gap]
    step_found = f"{high} - {low} = {size}, so each step {word} {size}."
    steps = f"{step_found} Before the gap is {before}. {before} {sign} {size} = {answer}."
    return Problem(
        "sequences", "missing", question, steps, str(answer), slip(scene, answer), template, ("gap", (start, step))
    )


SKILLS = (
    Skill("cost", "money", _cost, templates.COST, 3),
    Skill("change", "money", _change, templates.CHANGE, 2),
    Skill("convert", "units", _convert, templates.CONVERT, 3),
    Skill("later", "time", _later, templates.LATER, 3),
    Skill("duration", "time", _duration, templates.DURATION, 2),
    Skill("weekday", "time", _weekday, templates.WEEKDAY, 2),
    Skill("sequence", "sequences", _sequence, templates.SEQUENCE, 3),
    Skill("missing", "sequences", _missing, templates.MISSING, 2),
)
