"""Worked examples of the puzzles of things, times and places. All our own."""

from collections.abc import Sequence

from pocketphi.eval.tasks.bbh.shape import Example, with_options

_SHAPES = ("circle", "hexagon", "kite", "line", "pentagon", "rectangle", "triangle")
_TABLE = (
    "Here is a table where the first line is a header and each subsequent line is a penguin:  name, age, height (cm), "
    "weight (kg) Olga, 4, 62, 10 Pablo, 9, 55, 12 Rita, 6, 71, 14  For example: the age of Olga is 4, the weight "
    "of Rita is "
    "14 kg."
)
_COLOURS = ("red", "orange", "yellow", "green", "blue", "brown", "pink", "white", "black")
_PEOPLE = ("Hanna", "Ivan", "Jonas", "Kira", "Leo", "Mia", "Noah")


def _date(question: str, choices: Sequence[str], steps: str, right: str) -> Example:
    return with_options(f"{question} in MM/DD/YYYY?", choices, steps, right)


def _path(path: str, steps: str, right: str) -> Example:
    return with_options(f'This SVG path element <path d="{path}"/> draws a', _SHAPES, steps, right)


def _penguins(question: str, choices: Sequence[str], steps: str, right: str) -> Example:
    return with_options(f"{_TABLE}  {question}", choices, steps, right)


def _colour(question: str, steps: str, right: str) -> Example:
    return with_options(question, _COLOURS, steps, right)


def _gap(name: str, place: str, seen: Sequence[str], choices: Sequence[str], steps: str, right: str) -> Example:
    asked = f"Between what times could {name} have gone to the {place}?"
    known = "\n".join(seen)
    return with_options(f"Today, {name} went to the {place}. We know that:\n{known}\n{asked}", choices, steps, right)


def tracked(things: Sequence[str], swaps: Sequence[tuple[int, int]], who: int) -> Example:
    """People who each hold a thing and trade them, and what one of them holds at the end.

    Args:
        things: what each of the first people holds.
        swaps: who trades with whom, by index.
        who: whose thing is asked for.
    """
    people = _PEOPLE[: len(things)]
    held = list(things)
    told, steps = [], []
    for one, other in swaps:
        held[one], held[other] = held[other], held[one]
        told.append(f"{people[one]} and {people[other]} trade their things.")
        steps.append(f"Then {people[one]} has the {held[one]} and {people[other]} the {held[other]}.")
    start = ", ".join(f"{person} has a {thing}" for person, thing in zip(people, things, strict=True))
    question = f"At the start, {start}. {' '.join(told)} At the end, {people[who]} has the"
    steps.append(f"At the end {people[who]} has the {held[who]}.")
    return with_options(question, things, " ".join(steps), held[who])


WORLDS: dict[str, tuple[Example, ...]] = {
    "date_understanding": (
        _date(
            "Yesterday was 02/27/2019. What is the date one week from today",
            ("03/07/2019", "03/06/2019", "02/28/2019", "03/05/2018"),
            "Today is 02/28/2019. February 2019 has 28 days, so a week later is 03/07/2019.",
            "03/07/2019",
        ),
        _date(
            "Tom was born on 07/04/1990 and turns 20 today. What is the date tomorrow",
            ("07/05/2011", "07/03/2010", "07/05/2010", "08/05/2010"),
            "He turns 20 in 1990 + 20 = 2010, so today is 07/04/2010. Tomorrow is 07/05/2010.",
            "07/05/2010",
        ),
        _date(
            "The shop opened on the last day of 2003, ten days ago. What is the date today",
            ("12/21/2003", "01/10/2004", "01/11/2004", "01/10/2003"),
            "It opened on 12/31/2003. Ten days later is 01/10/2004.",
            "01/10/2004",
        ),
    ),
    "geometric_shapes": (
        _path(
            "M 10.00,10.00 L 60.00,12.00 L 30.00,50.00 L 10.00,10.00",
            "There are three points, and the path ends where it began. Three corners make a triangle.",
            "triangle",
        ),
        _path(
            "M 5.00,5.00 L 5.00,25.00 L 45.00,25.00 L 45.00,5.00 L 5.00,5.00",
            "There are four points, joined by lines that go straight up or straight across. That is a rectangle.",
            "rectangle",
        ),
        _path(
            "M 20.00,10.00 L 40.00,8.00 L 52.00,24.00 L 33.00,41.00 L 12.00,28.00 L 20.00,10.00",
            "There are five points, and the path ends where it began. Five corners make a pentagon.",
            "pentagon",
        ),
    ),
    "penguins_in_a_table": (
        _penguins(
            "Which penguin is the tallest?",
            ("Olga", "Pablo", "Rita"),
            "The heights are 62, 55 and 71 cm. The largest is 71, which is Rita's.",
            "Rita",
        ),
        _penguins(
            "How many penguins are more than 5 years old?",
            ("1", "2", "3", "4"),
            "The ages are 4, 9 and 6. More than 5 are 9 and 6, so there are 2.",
            "2",
        ),
        _penguins(
            "We then delete the penguin named Pablo from the table. What is the cumulated weight of the penguins?",
            ("24", "26", "36", "22"),
            "Olga and Rita remain. Their weights are 10 and 14, together 24.",
            "24",
        ),
    ),
    "reasoning_about_colored_objects": (
        _colour(
            "On the floor, there is a blue sock, a white towel, and a red brush. What color is the towel?",
            "The towel is white.",
            "white",
        ),
        _colour(
            "On the table, you see a set of items arranged in a row: a green pen, a black ruler, and an orange "
            "cup. What is "
            "the color of the item directly to the left of the cup?",
            "Directly to the left of the cup is the ruler. It is black.",
            "black",
        ),
        with_options(
            "On the desk, there are two pink rubbers, three brown clips, and a yellow stamp. If I remove all the brown "
            "things, how many things remain on it?",
            ("two", "three", "four", "six"),
            "Without the three clips, two rubbers and one stamp remain. 2 + 1 = 3.",
            "three",
        ),
    ),
    "temporal_sequences": (
        _gap(
            "Rosa",
            "library",
            (
                "Rosa woke up at 7am.",
                "Sven saw Rosa at the bakery from 7am to 9am.",
                "Uma saw Rosa at the dentist from 11am to 2pm.",
                "The library was closed after 2pm.",
            ),
            ("7am to 9am", "9am to 11am", "11am to 2pm"),
            "From 7am to 9am and from 11am to 2pm she was seen elsewhere, and later it was closed. Free is 9am "
            "to 11am.",
            "9am to 11am",
        ),
        _gap(
            "Emil",
            "museum",
            (
                "Emil woke up at 6am.",
                "Ada saw Emil at the pool from 8am to 12pm.",
                "Ben saw Emil at the cinema from 12pm to 4pm.",
                "The museum was closed after 4pm.",
            ),
            ("6am to 8am", "8am to 12pm", "12pm to 4pm"),
            "From 8am to 12pm and from 12pm to 4pm he was seen elsewhere, and later it was closed. Free is 6am to 8am.",
            "6am to 8am",
        ),
        _gap(
            "Lena",
            "garden",
            (
                "Lena woke up at 5am.",
                "Otto saw Lena at the station from 5am to 10am.",
                "Paul saw Lena at the office from 10am to 3pm.",
                "The garden was closed after 6pm.",
            ),
            ("5am to 10am", "10am to 3pm", "3pm to 6pm"),
            "From 5am to 10am and from 10am to 3pm she was seen elsewhere. Free is 3pm to 6pm.",
            "3pm to 6pm",
        ),
    ),
    "tracking_shuffled_objects_three_objects": (
        tracked(("coin", "key", "ring"), ((0, 1), (1, 2)), 0),
        tracked(("lamp", "drum", "kite"), ((0, 2), (2, 1), (0, 1)), 0),
        tracked(("plum", "fig", "pear"), ((1, 2), (0, 1), (1, 2)), 1),
    ),
    "tracking_shuffled_objects_five_objects": (
        tracked(("coin", "key", "ring", "bell", "card"), ((0, 4), (1, 2), (4, 1)), 1),
        tracked(("lamp", "drum", "kite", "rope", "mask"), ((3, 4), (0, 3), (2, 0)), 2),
        tracked(("plum", "fig", "pear", "lime", "date"), ((1, 3), (3, 2), (0, 1), (4, 0)), 4),
    ),
    "tracking_shuffled_objects_seven_objects": (
        tracked(("coin", "key", "ring", "bell", "card", "dice", "fan"), ((0, 6), (1, 5), (6, 1), (2, 0)), 2),
        tracked(("lamp", "drum", "kite", "rope", "mask", "flag", "vase"), ((3, 4), (0, 3), (5, 6), (6, 0)), 6),
        tracked(("plum", "fig", "pear", "lime", "date", "nut", "kiwi"), ((6, 2), (1, 3), (2, 1), (4, 5)), 3),
    ),
}
