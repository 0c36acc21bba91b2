"""A second way to the answers of the primer: read the question text, know nothing of how it was made.

`solve(skill, question)` gets the question type and the text that a pupil would get, and works with regular
expressions, `datetime`-free clock arithmetic, a table of facts written for this file, and Python itself for programs.
"""

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise


def _words(text: str) -> list[str]:
    return text.split()


_WORDS = _words(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty"
)
_NUMBER = re.compile(r"(?<![\w:])-?\d+(?![\d:])|\b(?:" + "|".join(_WORDS) + r")\b", re.IGNORECASE)
_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_UNIT_SIZES = {
    "kilometres": 1_000_000, "metres": 1000, "centimetres": 10, "millimetres": 1,
    "kilograms": 1000, "grams": 1, "litres": 1000, "millilitres": 1, "dollars": 100, "cents": 1,
    "weeks": 604_800, "days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1, "years": 12, "months": 1,
    "pairs": 2, "single pieces": 1,
}  # fmt: skip
_DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_COLOURS = _words("red blue green yellow black white brown pink grey purple")
_WEATHER = _words("sunny rainy windy cold warm dry snowy foggy")
_GREATER = _words("taller older faster stronger richer heavier")
_SMALLER = _words("shorter younger slower weaker poorer lighter")
_TOP = _words("tallest oldest fastest strongest richest heaviest")
_PLACES = _words(
    "kitchen garden garage bedroom bathroom hall cellar attic office library school park market station bakery barn "
    "stable workshop museum theatre hospital harbour shop tent cabin tower classroom playground forest yard"
)
_ITEMS = _words(
    "ball key lamp book hat scarf cup ring coin map drum kite doll rope bell knife clock radio mirror basket bottle "
    "letter ticket camera pear whistle blanket pillow hammer violin"
)
_KOREAN_PLACES = _words("부엌 교실 방 거실 정원 시장 공원 도서관 학교 마당 가게 창고 식당 병원 극장")
_EFFECTS = {
    "it breaks": r"stone floor|onto the stones|hard ball|down the stairs|hammer|lands on rock|stone that",
    "it melts": r"hot sun|near the fire|hot oven|hot car|warm stove\b(?!.*wet)|heater\.|very hot day",
    "it freezes": r"cold night|icy|coldest day|below zero|frost|in the snow",
    "it gets wet": r"in the rain\.|into the pond|in the bath|It rains|spills water|wave|in the storm\.",
    "it dries": r"wet (shirt|towel|sock|scarf|dress|coat|sheet)",
    "it wilts": r"does not water|\bno water|forgets to give|without rain|Nobody waters|thirsty",
    "it grows": r"waters the|good soil|sun, rain|care of|enough water|bright window|rich garden",
    "it burns": r"into the fire|flame|campfire|coal|Sparks",
    "it rusts": r"iron \w+",
    "it boils": r"heats|heating|strong fire|hottest flame|turns the stove up|Great heat|full strength",
    "it cools down": r"hot (tea|soup|pan|bread|cocoa|pie|stone)",
    "it flies away": r"strong wind|a storm|gust|windy day",
}
_CLASSES = {
    "bird": "robin sparrow eagle owl duck goose hen swan crow parrot stork dove penguin finch gull",
    "fish": "trout salmon shark carp cod herring tuna eel pike perch sardine",
    "insect": "ant bee beetle fly butterfly wasp moth cricket grasshopper ladybird mosquito",
    "mammal": "dog cat horse cow sheep goat mouse rabbit fox wolf bear deer lion tiger pig",
}
_BODY = {
    "bird": ("feathers", "2", "lungs", "eggs"), "fish": ("scales", "0", "gills", "eggs"),
    "insect": ("a shell", "6", "small holes", "eggs"), "mammal": ("hair", "4", "lungs", "live young"),
}  # fmt: skip


def numbers(text: str) -> list[int]:
    """All numbers of a text in order, clock times left out."""
    found = (match.group().lower() for match in _NUMBER.finditer(text))
    return [_WORDS.index(word) + 2 if word in _WORDS else int(word) for word in found]


def solve(skill: str, question: str) -> str:
    """The answer to a question of that type."""
    return _READERS[skill](question)


def _difference(text: str) -> str:
    first, second = numbers(text)
    return str(abs(first - second))


def _product(text: str) -> str:
    first, second = numbers(text)
    return str(first * second)


def _quotient(text: str) -> str:
    high, low = sorted(numbers(text), reverse=True)
    assert high % low == 0
    return str(high // low)


def _sum(text: str) -> str:
    first, second = numbers(text)
    return str(first + second)


def _two_step(text: str) -> str:
    first, gain, loss = numbers(text)
    return str(first + gain - loss)


def _convert(text: str) -> str:
    names = sorted(_UNIT_SIZES, key=len, reverse=True)
    units = re.findall(r"\b(" + "|".join(names) + r")\b", text)
    amount = _NUMBER.search(text)
    assert amount is not None
    source = next(unit for unit in names if text[amount.end() :].startswith(f" {unit}"))
    target = next(unit for unit in units if unit != source)
    total = numbers(text)[0] * _UNIT_SIZES[source]
    assert total % _UNIT_SIZES[target] == 0
    return str(total // _UNIT_SIZES[target])


def _times(text: str) -> list[int]:
    return [int(hour) * 60 + int(minute) for hour, minute in re.findall(r"(\d+):(\d\d)", text)]


def _later(text: str) -> str:
    (start,) = _times(text)
    count, unit = re.findall(r"(?<!:)\b(\d+) (hour|minute)", text)[0]
    end = start + int(count) * (60 if unit == "hour" else 1)
    return f"{(end // 60 - 1) % 12 + 1}:{end % 60:02d}"


def _duration(text: str) -> str:
    start, end = _times(text)
    assert (end - start) % 60 == 0
    return str((end - start) // 60 % 12)


def _weekday(text: str) -> str:
    (day,) = (word for word in _NAME.findall(text) if word in _DAYS)
    (count,) = numbers(text)
    return _DAYS[(_DAYS.index(day) + count) % 7]


def _row(text: str) -> list[int | None]:
    found = re.search(r"-?\d+(?:, (?:-?\d+|_))+", text)
    assert found is not None
    return [None if item == "_" else int(item) for item in found.group().split(", ")]


def _sequence(text: str) -> str:
    row = [number for number in _row(text) if number is not None]
    steps = {second - first for first, second in pairwise(row)}
    if len(steps) == 1:
        return str(row[-1] + steps.pop())
    assert all(second == 2 * first for first, second in pairwise(row))
    return str(2 * row[-1])


def _missing(text: str) -> str:
    row = _row(text)
    gap = row.index(None)
    before, after = row[gap - 1], row[gap + 1]
    assert before is not None
    assert after is not None
    assert (before + after) % 2 == 0
    return str((before + after) // 2)


_NOT_NAMES = frozenset(
    _words(
        "There The In Who Which Does Is Between Whose Name To By With How Tell Of We Everybody Beside Compared Among "
        "Give It At Then Later After Whom What Find Where People As A"
    )
)


def _names(text: str) -> list[str]:
    return [word for word in _NAME.findall(text) if word not in _NOT_NAMES]


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in re.split(r"(?<=[.?:])\s+", text) if sentence.strip()]


def _compare(text: str) -> str:
    facts = [(numbers(part)[0], _names(part)[0]) for part in _sentences(text) if re.search(r"\d", part)]
    low = re.search(r"\b(fewer|smaller|younger|lower|loses|behind)\b", text)
    return (min if low else max)(facts)[1]


def _order(text: str) -> str:
    words = "|".join(_GREATER + _SMALLER)
    forms = (
        (rf"(\w+) is (?:a little |much )?({words}) than (\w+)", (0, 1, 2)),
        (rf"(\w+) looks ({words}) than (\w+)", (0, 1, 2)),
        (rf"Compared with (\w+), (\w+) is ({words})", (1, 2, 0)),
        (rf"Beside (\w+), (\w+) is ({words})", (1, 2, 0)),
    )
    pairs = []
    for pattern, (first, word, second) in forms:
        for found in re.findall(pattern, text):
            pair = (found[first], found[second])
            pairs.append(pair if found[word] in _GREATER else pair[::-1])
    pairs += [(second, first) for first, second in re.findall(r"(\w+) is not as \w+ as (\w+)", text)]
    assert len(set(pairs)) == 2
    above = Counter(first for first, _ in pairs)
    below = Counter(second for _, second in pairs)
    highest = next(name for name in above if name not in below)
    lowest = next(name for name in below if name not in above)
    return highest if any(word in text for word in _TOP) else lowest


def _syllogism(text: str) -> str:
    found = re.search(r"\b(every|no) (\w+)(?: that exists)? is a (\w+)", text, re.IGNORECASE)
    assert found is not None
    every, kind, other = found.groups()
    rest = text.replace(found.group(), "")
    assert re.search(rf"\b{kind}\b", rest)
    assert re.search(rf"\b{other}\b", rest)
    return "yes" if every.lower() == "every" else "no"


def _condition(text: str) -> str:
    state, now = (word for word in re.findall(r"\w+", text) if word in _WEATHER)
    return "yes" if state == now else "no"


def _elimination(text: str) -> str:
    seen = Counter(word for word in re.findall(r"\w+", text) if word in _COLOURS)
    (left,) = (colour for colour, count in seen.items() if count == 1)
    assert len(seen) == 3
    return left


def _family(text: str) -> str:
    relation = re.search(r"\b(grandmother|grandfather|aunt|uncle)\b", text)
    assert relation is not None
    needed = {"grandmother": "mother", "grandfather": "father", "aunt": "sister", "uncle": "brother"}[relation.group()]
    facts = [sentence for sentence in re.split(r"(?<=[.?])\s+", text) if relation.group() not in sentence]
    facts = [fact for fact in facts if len(set(_names(fact))) == 2 and not fact.startswith("Who is it")]
    first, second = (set(_names(fact)) for fact in facts)
    (middle,) = first & second
    asked = set(_names(text)) - first - second
    assert not asked
    for fact, people in zip(facts, (first, second), strict=True):
        (other,) = people - {middle}
        # The one who is asked about stands in the question too.
        if any(other in sentence for sentence in re.split("[.?]", text) if relation.group() in sentence):
            continue
        assert re.search(rf"\b{needed}\b", fact), fact
        return other
    raise AssertionError(text)


def _cause(text: str) -> str:
    order = ("it dries", "it rusts", "it cools down", "it freezes", "it wilts", "it grows", "it boils")
    for effect in (*order, *(other for other in _EFFECTS if other not in order)):
        if re.search(_EFFECTS[effect], text):
            return effect
    raise AssertionError(text)


def _science(text: str) -> str:
    if "float" in text or "sink" in text:
        light = "cork|wood|boat|duck|leaf|feather|plank|empty bottle|beach ball|apple"
        return "it floats" if re.search(rf"\b({light})", text.replace("The boat of", "").lower()) else "it sinks"
    if "magnet" in text:
        return "yes" if re.search(r"\b(iron|steel)\b", text.lower()) else "no"
    if "steam" in text:
        (degrees,) = numbers(text)
        return "ice" if degrees < 0 else "water" if degrees < 100 else "steam"
    words = set(re.findall(r"\w+", text))
    (kind,) = (kind for kind, animals in _CLASSES.items() if words & set(animals.split()))
    cover, legs, breath, young = _BODY[kind]
    if "legs" in words:
        return legs
    if words & {"cover", "covers", "covered", "skin"}:
        return cover
    if words & {"breathe", "breathes", "air"}:
        return breath
    return young if "young" in words else kind


def _item(text: str) -> str:
    """The thing of a story: the one that is named most often."""
    return Counter(word for word in re.findall(r"\w+", text) if word in _ITEMS).most_common(1)[0][0]


def _where(text: str) -> str:
    told = [part for part in _sentences(text) if _item(text) in part.split()]
    places = [word for part in told for word in re.findall(r"\w+", part) if word in _PLACES]
    return places[-1]


def _who(text: str) -> str:
    item = _item(text)
    forms = (
        rf"(\w+) (?:takes|gets|receives) the {item} from \w+",
        rf"the {item} to (\w+)",
        rf"gives (\w+) the {item}",
        rf"As a present from \w+, (\w+) gets the {item}",
        rf"(\w+) asks \w+ for the {item} and gets it",
    )
    owner = ""
    for part in _sentences(text):
        if f"the {item}" not in part or part.endswith("?") or re.match(r"(Tell|Name) ", part):
            continue
        found = next((match for form in forms if (match := re.search(form, part))), None)
        owner = found[1] if found else _names(part)[-1]
    return owner


def _python(text: str) -> str:
    _, _, code = text.partition("\n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "question", "exec"), {})
    return printed.getvalue().strip()


def _korean_where(text: str) -> str:
    return re.findall("|".join(sorted(_KOREAN_PLACES, key=len, reverse=True)) + r"(?=에|으로|로)", text)[-1]


def _korean_numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


_READERS: dict[str, Callable[[str], str]] = {
    "add": _sum, "subtract": _difference, "two_step": _two_step, "start": _sum, "difference": _difference,
    "multiply": _product, "share": _quotient, "cost": _product, "change": _difference, "convert": _convert,
    "later": _later, "duration": _duration, "weekday": _weekday, "sequence": _sequence, "missing": _missing,
    "compare": _compare, "order": _order, "syllogism": _syllogism, "condition": _condition,
    "elimination": _elimination, "family": _family, "cause": _cause, "science": _science, "where": _where,
    "who": _who, "python": _python, "korean_where": _korean_where,
    "korean_add": lambda text: str(sum(_korean_numbers(text))),
    "korean_subtract": lambda text: str(abs(_korean_numbers(text)[0] - _korean_numbers(text)[1])),
}  # fmt: skip
