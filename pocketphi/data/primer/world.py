"""The world that the primer writes about: people, things, places, colours.

Names are built from syllables, in the thousands, because a small model learns to copy a name only when it
cannot learn the names by heart. One name in eight is held out: whether a name is, is a property of the name
itself (its CRC-32), so no list has to be kept and every module agrees. The same rule holds out combinations
of numbers: `is_heldout("add", (7, 8))`.
"""

from zlib import crc32


def words(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The entries of a table."""
    return tuple(entry.strip() for entry in text.split(separator))


_ONSETS = words(
    "B Bel Bra Cal Cor D Dar Del Dor E El Er F Fal Fen Fin G Gar Gil H Hal Hel I Il J Jar Jel K Kal Kel Kir "
    "L Lam Len Lor M Mal Mar Mel Mir N Nal Ner O Or P Pel Per R Ral Ren Ros S Sal Sel Sor T Tal Tam Ter Tor "
    "U V Val Ver Vil W Wil Y Z Zel Zor"
)
_MIDDLES = words("a e i o u ai ea ia io ara eli emi ina iri ola ona uri avi eno ado ami ilo")
_ENDS = words(
    "ba bo da do dra ka ko la lo ma mo na no nia ra ro rin ran rith sa so sha ta to tan th va vo van vin za zo"
)
_WORDS_NOT_NAMES = frozenset(
    words(
        "Banana Camera Corona Dada Data Delta Drama Era Extra Gala Halo Java Lama Lava Llama Mama Marina Melon Opera "
        "Papa Panama Pasta Pizza Polo Salad Silo Solo Sonata Soda Sofa Tomato Veranda Visa Volta Zero Banda Tango "
        "Korea Malta Iran Peru Perrin Roma Verona Savanna Samba Tiara Mania Hera Mesa Sauna Tuna Panda Agenda Arena"
    )
)


def is_heldout(kind: str, values: object) -> bool:
    """Whether a name or a combination is kept for the held-out questions: one in eight, the same everywhere."""
    # The low bits of a CRC depend on few letters, and all sums with a 9 would be held out: multiply, take high bits.
    return crc32(f"{kind}:{values}".encode()) * 0x9E3779B1 % 2**32 < 2**29


def _names() -> tuple[str, ...]:
    built = {onset + middle + end for onset in _ONSETS for middle in _MIDDLES for end in _ENDS}
    built = {name for name in built if 4 <= len(name) <= 6 and name not in _WORDS_NOT_NAMES}
    return tuple(sorted(name for name in built if crc32(name.encode()) % 3 == 0))


NAMES = tuple(name for name in _names() if not is_heldout("name", name))
"""People of lessons, pages and conversations. None tells if it is a woman's or a man's."""
HELDOUT_NAMES = tuple(name for name in _names() if is_heldout("name", name))
"""People of held-out questions, and of nothing else but planted contamination."""

# singular plural
_THINGS = """
apple apples|pear pears|plum plums|peach peaches|lemon lemons|orange oranges|banana bananas|cherry cherries
grape grapes|carrot carrots|potato potatoes|onion onions|tomato tomatoes|bean beans|nut nuts|egg eggs|roll rolls
cake cakes|cookie cookies|biscuit biscuits|sweet sweets|candle candles|pencil pencils|pen pens|crayon crayons
brush brushes|book books|card cards|stamp stamps|coin coins|marble marbles|button buttons|bead beads
ribbon ribbons|ball balls|kite kites|doll dolls|block blocks|shell shells|stone stones|leaf leaves
feather feathers|flower flowers|rose roses|tulip tulips|seed seeds|stick sticks|cup cups|plate plates
spoon spoons|fork forks|bowl bowls|bottle bottles|sock socks|hat hats|scarf scarves|glove gloves|shirt shirts
key keys|ring rings|nail nails|screw screws|brick bricks|toy toys|sticker stickers|ticket tickets|photo photos
letter letters|badge badges|puzzle puzzles|magnet magnets|sponge sponges|towel towels|basket baskets|lamp lamps
flag flags|star stars
"""
THINGS: tuple[tuple[str, str], ...] = tuple(
    (pair.split()[0], pair.split()[1]) for line in _THINGS.strip().splitlines() for pair in line.split("|")
)
BOXES = words("box bag basket jar tin drawer bucket crate bowl case")
PLACES = words(
    "kitchen garden garage bedroom bathroom hall cellar attic office library school park market station bakery barn "
    "stable workshop museum theatre hospital harbour shop tent cabin tower classroom playground forest yard"
)
ITEMS = words(
    "ball key lamp book hat scarf cup ring coin map drum kite doll rope bell knife clock radio mirror basket bottle "
    "letter ticket camera pear whistle blanket pillow hammer violin"
)
COLOURS = words("red blue green yellow black white brown pink grey purple")
NUMBER_WORDS = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
WEEKDAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
