"""Text to hide things in: sentences, keys, names and lists, drawn from small word lists by a given generator.

The sentences are dull on purpose, of one kind all along, and hold no digit, no hyphen and no capital but the first, so
whatever is hidden cannot be mistaken for them or be known beforehand.
"""

from collections.abc import Iterator, Sequence
from random import Random

_NOUNS = """
amber anchor anvil apple arrow autumn badger barley basket beacon birch blossom bottle branch bridge bronze bucket
butter candle canyon carpet castle cedar chalk cherry chimney cinder circle clover cobalt comet copper coral cotton
crane crystal curtain dagger daisy desert dragon drum dune eagle ember engine falcon feather fern ferry finger flint
forest fountain fox garden garlic ginger glacier granite grape hammer harbor hazel heron hill honey horn island ivory
jacket jasmine kettle ladder lantern lemon lily linen maple marble meadow mirror moss needle nettle oak olive onion
orchard otter owl paper pearl pebble pepper pigeon pillow pine planet plum pocket poplar quartz rabbit rain raven
ribbon river robin rose saddle sage salt satin shadow silver spruce stone summer thistle thunder tiger
"""
NOUNS = tuple(_NOUNS.split())
_FIRST_NAMES = """
Ada Bela Cora Dina Elio Fara Gita Hugo Ines Jona Kaia Levi Mira Nils Olga Pavo Quin Rosa Sami Tora Ulla Vera Wim Xenia
Yara Zeno Alma Bruno Clio Dario Edda Felix Greta Hanno Ilse Jarek Klara Lotta Mateo Nora
"""
FIRST_NAMES = tuple(_FIRST_NAMES.split())
_SUBJECTS = (
    "the baker", "the old gardener", "a quiet teacher", "the postman", "her neighbour", "the young carpenter",
    "a tired sailor", "the miller", "the librarian", "a cheerful cook", "the shepherd", "his aunt", "the clockmaker",
    "a patient farmer", "the tailor", "their cousin", "the ferryman", "a curious child", "the mayor", "the night guard",
)  # fmt: skip
_VERBS = (
    "carried", "painted", "repaired", "forgot", "found", "sold", "cleaned", "borrowed", "admired", "moved", "counted",
    "wrapped", "measured", "polished", "hid", "washed", "described", "folded", "collected", "returned",
)  # fmt: skip
_OBJECTS = (
    "a wooden chair", "the blue curtain", "some old letters", "a basket of pears", "the broken clock",
    "a pair of boots",
    "the long ladder", "three loaves of bread", "a small mirror", "the garden tools", "a heavy blanket", "the tea cups",
    "a bundle of straw", "the red bicycle", "an empty bottle", "the kitchen table", "a map of the valley",
    "the fishing nets",
    "a jar of honey", "the winter coats",
)  # fmt: skip
_PLACES = (
    "near the mill", "behind the school", "at the market", "by the river", "in the cellar", "under the bridge",
    "next to the church", "on the hill", "in front of the inn", "along the wall", "at the harbour", "in the attic",
    "beside the well", "on the square", "in the barn", "at the edge of the forest",
)  # fmt: skip
_TIMES = (
    "in the morning", "before lunch", "after the storm", "on a warm evening", "while it rained", "late at night",
    "at the end of the week", "when the bells rang", "early in spring", "during the fair", "as the sun went down",
    "without saying a word", "for the second time", "with great care",
)  # fmt: skip
_SENTENCES_A_PARAGRAPH = 6


def sentences(rng: Random, characters: int) -> list[str]:
    """As many as fit, counting the white space between them."""
    found: list[str] = []
    left = characters
    for sentence in _endless(rng):
        left -= len(sentence) + 1
        if left < 0:
            return found
        found.append(sentence)
    raise AssertionError("sentences never end")


def hide(hay: Sequence[str], needles: Sequence[tuple[float, str]]) -> str:
    """Needles among sentences, in paragraphs.

    Args:
        hay: sentences.
        needles: depth (0: at the start, 1: at the end) and text of each; those of one depth keep their order.
    """
    placed = [(round(depth * len(hay)), text) for depth, text in needles]
    lines = [
        line
        for at in range(len(hay) + 1)
        for line in (*(text for index, text in placed if index == at), *hay[at : at + 1])
    ]
    steps = range(0, len(lines), _SENTENCES_A_PARAGRAPH)
    return "\n".join(" ".join(lines[start : start + _SENTENCES_A_PARAGRAPH]) for start in steps)


def pairs(rng: Random, count: int, joint: str) -> list[str]:
    """Different keys such as `amber-bridge`, by two nouns and what joins them."""
    drawn = rng.sample(range(len(NOUNS) ** 2), count)
    return [NOUNS[index // len(NOUNS)] + joint + NOUNS[index % len(NOUNS)] for index in drawn]


def numbers(rng: Random, count: int, digits: int = 7) -> list[str]:
    """Different numbers of so many digits."""
    return [str(number) for number in rng.sample(range(10 ** (digits - 1), 10**digits), count)]


def names(rng: Random, count: int) -> list[str]:
    """Different people."""
    drawn = rng.sample(range(len(FIRST_NAMES) * len(NOUNS)), count)
    return [f"{FIRST_NAMES[index % len(FIRST_NAMES)]} {NOUNS[index // len(FIRST_NAMES)].title()}" for index in drawn]


def codes(rng: Random, count: int) -> list[str]:
    """Different words of no language: three syllables."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    drawn = rng.sample(range(len(syllables) ** 3), count)
    size = len(syllables)
    return [syllables[i // size**2] + syllables[i // size % size] + syllables[i % size] for i in drawn]


def _endless(rng: Random) -> Iterator[str]:
    while True:
        parts = [
            rng.choice(_SUBJECTS),
            rng.choice(_VERBS),
            rng.choice(_OBJECTS),
            rng.choice(_PLACES),
            rng.choice(_TIMES),
        ]
        text = " ".join(parts)
        yield f"{text[0].upper()}{text[1:]}."
