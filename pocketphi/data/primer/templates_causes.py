"""Causes and effects of everyday life, and the sentences that ask about them."""

from dataclasses import dataclass

from pocketphi.data.primer.problem import Patterns, lines


@dataclass(frozen=True)
class Effect:
    """Something that always happens in a kind of situation."""

    answer: str
    rule: str
    """Why: fields {thing}."""
    things: tuple[str, ...]
    known: tuple[str, ...]
    """Situations; fields {x}, {thing}."""
    new: tuple[str, ...]


EFFECTS = (
    Effect(
        "it breaks",
        "The {thing} is easy to break and hits something hard.",
        ("glass", "plate", "cup", "vase", "bottle", "egg", "mirror", "window", "jar", "bowl"),
        lines("""
            {x} drops a {thing} on the stone floor.
            The {thing} of {x} falls onto the stones.
            A hard ball hits the {thing} of {x}.
            {x} lets the {thing} fall down the stairs.
            {x} hits the {thing} with a hammer.
        """),
        lines("""
            The {thing} slips out of the hands of {x} and lands on rock.
            A stone that {x} throws strikes the {thing}.
        """),
    ),
    Effect(
        "it melts",
        "The {thing} is solid when cold, and it gets warm.",
        ("ice cube", "snowman", "candle", "piece of butter", "bar of chocolate", "icicle", "snowball", "ice cream"),
        lines("""
            {x} leaves the {thing} in the hot sun.
            {x} puts the {thing} near the fire.
            The {thing} of {x} stands beside a hot oven.
            {x} forgets the {thing} in a hot car.
            {x} lays the {thing} on a warm stove.
        """),
        lines("""
            The {thing} of {x} comes too close to a heater.
            A very hot day begins, and {x} keeps the {thing} outside.
        """),
    ),
    Effect(
        "it freezes",
        "The {thing} is full of water, and water gets hard when it is very cold.",
        ("puddle", "pond", "bucket of water", "glass of water", "small lake", "bottle of juice"),
        lines("""
            {x} leaves the {thing} out on a very cold night.
            The night is icy, and the {thing} of {x} is outside.
            {x} sees the {thing} on the coldest day of winter.
            {x} puts the {thing} in a place far below zero degrees.
            An icy wind blows over the {thing} of {x}.
        """),
        lines("""
            The frost reaches the {thing} of {x}.
            Winter comes hard, and {x} forgets the {thing} in the snow.
        """),
    ),
    Effect(
        "it gets wet",
        "Water touches the {thing}, and nothing keeps it off.",
        ("coat", "book", "hat", "letter", "map", "blanket", "shirt", "bench"),
        lines("""
            {x} leaves the {thing} in the rain.
            The {thing} of {x} falls into the pond.
            {x} drops the {thing} in the bath.
            It rains, and the {thing} of {x} is in the garden.
            {x} spills water over the {thing}.
        """),
        lines("""
            A wave washes over the {thing} of {x}.
            {x} has no roof for the {thing} in the storm.
        """),
    ),
    Effect(
        "it dries",
        "The {thing} is wet, and warm moving air takes the water away.",
        ("wet shirt", "wet towel", "wet sock", "wet scarf", "wet dress", "wet coat", "wet sheet"),
        lines("""
            {x} hangs the {thing} in the sun.
            {x} hangs the {thing} on a line in the wind.
            The {thing} of {x} lies near the warm stove.
            {x} blows warm air on the {thing}.
            {x} puts the {thing} over a warm heater.
        """),
        lines("""
            A warm breeze blows on the {thing} of {x}.
            {x} spreads the {thing} out on a sunny rock.
        """),
    ),
    Effect(
        "it wilts",
        "The {thing} is a plant, and a plant needs water.",
        ("rose", "tulip", "young tree", "bean plant", "potted flower", "fern", "sunflower", "daisy"),
        lines("""
            {x} does not water the {thing} for weeks.
            The {thing} of {x} gets no water at all.
            {x} forgets to give water to the {thing}.
            {x} keeps the {thing} in dry sand without rain.
            Nobody waters the {thing} of {x}.
        """),
        lines("""
            A long dry summer comes, and {x} has no water for the {thing}.
            {x} goes away, and the {thing} stays thirsty for a month.
        """),
    ),
    Effect(
        "it grows",
        "The {thing} is a plant that has light, water and good soil.",
        ("rose", "tulip", "young tree", "bean plant", "seedling", "fern", "sunflower", "daisy"),
        lines("""
            {x} waters the {thing} and puts it in the light.
            The {thing} of {x} has sun, rain and good soil.
            {x} plants the {thing} in good soil and waters it.
            {x} takes good care of the {thing} with water and light.
            The {thing} of {x} gets enough water and sun.
        """),
        lines("""
            Every day {x} gives the {thing} some water at a bright window.
            In the rich garden of {x} the {thing} lacks nothing.
        """),
    ),
    Effect(
        "it burns",
        "The {thing} is dry and catches fire.",
        ("paper", "dry leaf", "match", "dry stick", "newspaper", "dry straw", "wooden box"),
        lines("""
            {x} throws the {thing} into the fire.
            {x} holds the {thing} in a flame.
            The {thing} of {x} falls into the campfire.
            {x} puts the {thing} on glowing coal.
            A flame touches the {thing} of {x}.
        """),
        lines("""
            {x} feeds the {thing} to the flames.
            Sparks fly onto the {thing} of {x}.
        """),
    ),
    Effect(
        "it rusts",
        "The {thing} is made of iron, and iron goes brown in water and air.",
        ("iron nail", "iron gate", "iron chain", "iron hook", "iron pan", "iron key", "iron bolt"),
        lines("""
            {x} leaves the {thing} in the rain for months.
            The {thing} of {x} lies in wet grass all year.
            In water stands the {thing} that {x} never dries.
            {x} forgets the {thing} at the wet sea shore.
            The {thing} of {x} is wet for a long time.
        """),
        lines("""
            All year damp air works on the {thing} of {x}.
            {x} finds the {thing} again after many wet weeks.
        """),
    ),
    Effect(
        "it boils",
        "The {thing} gets very hot, up to a hundred degrees.",
        ("water", "soup", "tea water", "milk", "pasta water", "vegetable soup"),
        lines("""
            {x} heats the {thing} on the stove for a long time.
            {x} puts the pot of {thing} on a strong fire.
            The {thing} of {x} stands on the hottest flame.
            {x} keeps heating the {thing} until there are bubbles.
            {x} turns the stove up under the {thing}.
        """),
        lines("""
            Great heat goes into the {thing} that {x} cooks.
            Under the {thing} of {x} the gas burns at full strength.
        """),
    ),
    Effect(
        "it cools down",
        "The {thing} is hot, and the air around it is cold.",
        ("hot tea", "hot soup", "hot pan", "hot bread", "hot cocoa", "hot pie", "hot stone"),
        lines("""
            {x} leaves the {thing} at the open window in winter.
            {x} puts the {thing} on a cold stone.
            The {thing} of {x} stands in cold air.
            {x} blows on the {thing} again and again.
            {x} lets the {thing} stand for an hour.
        """),
        lines("""
            Nobody touches the {thing} of {x} for a long while.
            {x} carries the {thing} into a cold cellar.
        """),
    ),
    Effect(
        "it flies away",
        "The {thing} is very light, and the wind is strong.",
        ("paper", "feather", "balloon", "dry leaf", "ticket", "paper hat", "straw hat"),
        lines("""
            {x} lets go of the {thing} in a strong wind.
            A strong wind takes the {thing} of {x}.
            {x} holds the {thing} loosely, and a storm comes.
            The {thing} of {x} lies on the hill in a storm.
            In a storm {x} opens the window beside the {thing}.
        """),
        lines("""
            A gust reaches the {thing} that {x} has not tied down.
            {x} puts the {thing} on the roof on a windy day.
        """),
    ),
)

CAUSE = Patterns(
    frames=("situation ask", "situation ask", "ask situation"),
    known={
        "situation": tuple(pattern for effect in EFFECTS for pattern in effect.known),
        "ask": lines("""
            What happens to the {thing}?
            What will happen to the {thing}?
            What does the {thing} do?
            Tell me what happens to the {thing}.
            What happens then?
            What happens next to the {thing}?
            What becomes of the {thing}?
        """),
    },
    new={
        "situation": tuple(pattern for effect in EFFECTS for pattern in effect.new),
        "ask": lines("""
            What can {x} expect of the {thing}?
            Say what comes of it for the {thing}.
            Which effect does {x} see on the {thing}?
        """),
    },
)
