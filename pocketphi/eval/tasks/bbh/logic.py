"""Worked examples of the puzzles of logic and counting. All our own."""

from collections.abc import Sequence

from pocketphi.eval.tasks.bbh.shape import Example, with_options, with_words


def _brackets(opened: str, steps: str, closed: str) -> Example:
    return Example(
        f"Complete the rest of the sequence, making sure that the parentheses are closed properly. Input: {opened}",
        steps,
        closed,
    )


def _argument(said: str, steps: str, verdict: str) -> Example:
    question = f'"{said}"\nIs the argument, given the explicitly stated premises, deductively valid or invalid?'
    return with_words(question, ("valid", "invalid"), steps, verdict)


def _walk(moves: str, steps: str, verdict: str) -> Example:
    question = f"If you follow these instructions, do you return to the starting point? {moves}"
    return with_words(question, ("Yes", "No"), steps, verdict)


def _order(scene: str, clues: str, things: Sequence[str], place: str, steps: str, right: str) -> Example:
    choices = [f"The {thing} is {place}" for thing in things]
    return with_options(f"{scene} {clues}", choices, steps, f"The {right} is {place}")


LOGIC: dict[str, tuple[Example, ...]] = {
    "boolean_expressions": (
        Example(
            "( False or not True ) or True is",
            "The bracket is False or False, which is False. False or True is True.",
            "True",
        ),
        Example(
            "not ( True or False ) and not False is",
            "The bracket is True, so its negation is False. False and anything is False.",
            "False",
        ),
        Example(
            "True and not ( False and True ) is",
            "The bracket is False, so its negation is True. True and True is True.",
            "True",
        ),
    ),
    "dyck_languages": (
        _brackets("( [ ]", "The pair [ ] is closed. Open is still ( and nothing else, so it is closed last.", ")"),
        _brackets(
            "{ < ( )", "The pair ( ) is closed. Open are { and then <. The one opened last is closed first.", "> }"
        ),
        _brackets(
            "[ { } ( < >",
            "The pairs { } and < > are closed. Open are [ and then (. The one opened last is closed first.",
            ") ]",
        ),
    ),
    "formal_fallacies": (
        _argument(
            "Every baker in our street is an early riser. No early riser is a night owl. So no baker in our "
            "street is a "
            "night owl.",
            "Bakers are early risers, and early risers are never night owls. So bakers are never night owls: the "
            "conclusion follows.",
            "valid",
        ),
        _argument(
            "Whoever plays the oboe likes Mozart. Some people who like Mozart own a piano. So some people who play the "
            "oboe own a piano.",
            "Those who like Mozart and own a piano need not be the ones who play the oboe. So the conclusion does not "
            "follow.",
            "invalid",
        ),
        _argument(
            "Being a member of the rowing club is necessary for having a key. Ida is no member of the rowing "
            "club. So Ida "
            "has no key.",
            "A key needs a membership, and Ida has none. So she has no key: the conclusion follows.",
            "valid",
        ),
    ),
    "multistep_arithmetic_two": (
        Example(
            "((2 + 3 * -4) - (6 - 1 * 5)) =",
            "The first bracket is 2 - 12 = -10. The second is 6 - 5 = 1. Then -10 - 1 = -11.",
            "-11",
        ),
        Example(
            "((-3 * 2 + 8) * (4 - -5 + 1)) =",
            "The first bracket is -6 + 8 = 2. The second is 4 + 5 + 1 = 10. Then 2 * 10 = 20.",
            "20",
        ),
        Example(
            "((7 - 2 * 2) + (-1 * -6 - 9)) =",
            "The first bracket is 7 - 4 = 3. The second is 6 - 9 = -3. Then 3 + -3 = 0.",
            "0",
        ),
    ),
    "navigate": (
        _walk(
            "Take 3 steps. Turn around. Take 2 steps. Take 1 step.",
            "After 3 steps and a turn, 2 + 1 = 3 steps lead back. That is where it began.",
            "Yes",
        ),
        _walk(
            "Always face forward. Take 4 steps left. Take 2 steps forward. Take 3 steps right. Take 2 steps backward.",
            "Forward and backward cancel: 2 - 2 = 0. To the left remain 4 - 3 = 1. That is 1 step off.",
            "No",
        ),
        _walk(
            "Take 5 steps. Turn right. Take 2 steps. Turn right. Take 5 steps.",
            "The 5 steps back cancel the first 5, but the 2 steps to the right remain.",
            "No",
        ),
    ),
    "object_counting": (
        Example(
            "I have two forks, a spoon, and four knives. How many pieces of cutlery do I have?",
            "Forks are 2, spoons 1, knives 4. Together 2 + 1 + 4 = 7.",
            "7",
        ),
        Example(
            "I have a pear, three carrots, two leeks, and an onion. How many vegetables do I have?",
            "The pear is a fruit. Carrots are 3, leeks 2, onions 1. Together 3 + 2 + 1 = 6.",
            "6",
        ),
        Example(
            "I have five sheep, a lamp, three ducks, and two horses. How many animals do I have?",
            "The lamp is no animal. Sheep are 5, ducks 3, horses 2. Together 5 + 3 + 2 = 10.",
            "10",
        ),
    ),
    "web_of_lies": (
        Example(
            "Question: Bruno lies. Carla says Bruno lies. Dimitri says Carla lies. Does Dimitri tell the truth?",
            "Bruno lies, so Carla is right and tells the truth. Dimitri says that Carla lies, which is wrong.",
            "No",
        ),
        Example(
            "Question: Nadia tells the truth. Owen says Nadia lies. Petra says Owen lies. Quentin says Petra tells the "
            "truth. Does Quentin tell the truth?",
            "Nadia tells the truth, so Owen lies. Petra says just that and tells the truth. So Quentin is right.",
            "Yes",
        ),
        Example(
            "Question: Tamar lies. Ursula says Tamar tells the truth. Victor says Ursula tells the truth. Does Victor "
            "tell the truth?",
            "Tamar lies, so Ursula is wrong and lies. Victor says that Ursula tells the truth, which is wrong.",
            "No",
        ),
    ),
    "logical_deduction_three_objects": (
        _order(
            "Three objects stand in a fixed order. On a shelf, there are three jars: a red jar, a blue jar, and "
            "a green jar.",
            "The red jar is to the right of the blue jar. The green jar is the leftmost.",
            ("red jar", "blue jar", "green jar"),
            "the rightmost",
            "Green is first. Blue stands before red. The order is green, blue, red.",
            "red jar",
        ),
        _order(
            "Three objects stand in a fixed order. At a market, there are three fruits: plums, figs, and dates.",
            "The figs cost less than the dates. The plums cost less than the figs.",
            ("plums", "figs", "dates"),
            "the second-cheapest",
            "Plums cost less than figs, and figs less than dates. From cheap to dear: plums, figs, dates.",
            "figs",
        ),
        _order(
            "Three objects stand in a fixed order. On a table, there are three books: a yellow book, a white "
            "book, and a "
            "black book.",
            "The white book is the second from the left. The black book is to the left of the white book.",
            ("yellow book", "white book", "black book"),
            "the leftmost",
            "White is second. Black stands before it, so black is first. The order is black, white, yellow.",
            "black book",
        ),
    ),
    "logical_deduction_five_objects": (
        _order(
            "Five objects stand in a fixed order. On a bench, there are five cats: Ash, Bix, Cleo, Dot, and Eli.",
            "Cleo is the third from the left. Ash is to the left of Bix. Bix is to the left of Cleo. Eli is to "
            "the right of "
            "Dot.",
            ("cat Ash", "cat Bix", "cat Cleo", "cat Dot", "cat Eli"),
            "the rightmost",
            "Ash and Bix stand before Cleo, who is third. Dot and Eli are behind, Dot first. The order is Ash, "
            "Bix, Cleo, "
            "Dot, Eli.",
            "cat Eli",
        ),
        _order(
            "Five objects stand in a fixed order. In a garage, there are five bicycles: a folding bike, a racer, "
            "a tandem, a "
            "cargo bike, and a tricycle.",
            "The tandem is the oldest. The racer is the newest. The cargo bike is older than the tricycle. The "
            "folding bike "
            "is newer than the tricycle.",
            ("folding bike", "racer", "tandem", "cargo bike", "tricycle"),
            "the second-oldest",
            "Tandem is first and racer last. Between them: cargo bike, tricycle, folding bike. Second is the "
            "cargo bike.",
            "cargo bike",
        ),
        _order(
            "Five objects stand in a fixed order. On a wall, there are five pictures: a map, a mirror, a poster, "
            "a clock, and "
            "a plate.",
            "The clock is the leftmost. The map is the second from the right. The mirror is to the right of the "
            "map. The "
            "plate is to the left of the poster.",
            ("map", "mirror", "poster", "clock", "plate"),
            "the third from the left",
            "Clock is first, map fourth, mirror fifth. Plate comes before poster, so plate is second and poster third.",
            "poster",
        ),
    ),
    "logical_deduction_seven_objects": (
        _order(
            "Seven objects stand in a fixed order. In a row, there are seven houses: the red, the blue, the "
            "green, the white, "
            "the grey, the pink, and the brown house.",
            "The red house is the first from the left. The blue house is directly to its right. The brown house is the "
            "rightmost. The pink house is the second from the right. The green house is the fourth from the "
            "left. The grey "
            "house is to the right of the green house.",
            tuple(f"{colour} house" for colour in ("red", "blue", "green", "white", "grey", "pink", "brown")),
            "the third from the left",
            "Known are red 1, blue 2, green 4, pink 6, brown 7. Grey is right of green, so it is 5. White is left: 3.",
            "white house",
        ),
        _order(
            "Seven objects stand in a fixed order. At a race, there were seven boats: Adler, Biber, Dachs, "
            "Elster, Fuchs, "
            "Hase, and Igel.",
            "Igel finished first. Hase finished second. Fuchs finished right behind Hase. Adler finished last. "
            "Biber finished "
            "above Adler and below Dachs. Dachs finished below Elster.",
            tuple(f"boat {name}" for name in ("Adler", "Biber", "Dachs", "Elster", "Fuchs", "Hase", "Igel")),
            "the fourth to finish",
            "Igel 1, Hase 2, Fuchs 3, Adler 7. For 4 to 6 the order is Elster, Dachs, Biber. So Elster is fourth.",
            "boat Elster",
        ),
        _order(
            "Seven objects stand in a fixed order. On a market stall, there are seven cheeses: brie, cheddar, "
            "edam, feta, "
            "gouda, parmesan, and ricotta.",
            "Parmesan is the dearest. Ricotta is the cheapest. Feta is the second-cheapest. Brie is the "
            "second-dearest. Edam "
            "is cheaper than gouda. Gouda is cheaper than cheddar.",
            ("brie", "cheddar", "edam", "feta", "gouda", "parmesan", "ricotta"),
            "the fourth-cheapest",
            "From cheap to dear: ricotta, feta, then edam, gouda, cheddar, then brie, parmesan. The fourth is gouda.",
            "gouda",
        ),
    ),
}
