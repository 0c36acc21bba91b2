"""What the world knows: causes and effects, animals, materials, water; and the sentences that ask about it."""

from dataclasses import dataclass

from pocketphi.data.primer.problem import Patterns, lines
from pocketphi.data.primer.world import words


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

ANIMALS = {
    "bird": words("robin sparrow eagle owl duck goose hen swan crow parrot stork dove penguin finch gull"),
    "fish": words("trout salmon shark carp cod herring tuna eel pike perch sardine"),
    "insect": words("ant bee beetle fly butterfly wasp moth cricket grasshopper ladybird mosquito"),
    "mammal": words("dog cat horse cow sheep goat mouse rabbit fox wolf bear deer lion tiger pig"),
}
CLASS_FACTS = {
    "bird": {"cover": "feathers", "legs": "2", "breath": "lungs", "young": "eggs"},
    "fish": {"cover": "scales", "legs": "0", "breath": "gills", "young": "eggs"},
    "insect": {"cover": "a shell", "legs": "6", "breath": "small holes", "young": "eggs"},
    "mammal": {"cover": "hair", "legs": "4", "breath": "lungs", "young": "live young"},
}
PLURAL = {"bird": "birds", "fish": "fish", "insect": "insects", "mammal": "mammals"}
FLOATS = [
    "cork",
    "dry wood",
    "a wooden boat",
    "a rubber duck",
    "a leaf",
    "a feather",
    "a plank",
    "an empty bottle",
    "a beach ball",
    "an apple",
]
SINKS = words(
    "a stone,an iron nail,a coin,a brick,a spoon of steel,a key,a glass marble,a hammer,a gold ring,sand", ","
)
MAGNETIC = words("an iron nail,a steel spoon,an iron key,a steel pin,an iron bolt,a steel needle,an iron pan", ",")
NOT_MAGNETIC = words(
    "a wooden spoon,a glass cup,a gold ring,a paper bag,a plastic cup,a rubber ball,a cotton sock", ","
)

SCIENCE = Patterns(
    frames=("cover", "legs", "breath", "young", "class", "float", "magnet", "water", "water"),
    known={
        "cover": lines("""
            {x} looks at {an} {animal}. What covers its body?
            What covers the body of {an} {animal}?
            {x} draws {an} {animal}. With what is its body covered?
            Tell {x} what covers {an} {animal}.
            {x} touches {an} {animal}. What covers it?
            What covers the body of the {animal} of {x}?
            {x} asks {y} what covers {an} {animal}.
            Say what the body of {an} {animal} is covered with.
            With what is {an} {animal} covered?
            The body of {an} {animal}, says {x}, is covered with what?
        """),
        "legs": lines("""
            How many legs does {an} {animal} have?
            {x} draws {an} {animal}. How many legs must it have?
            {x} asks how many legs {an} {animal} has.
            Tell {x} the number of legs of {an} {animal}.
            How many legs has {an} {animal}?
            On how many legs does {an} {animal} walk?
            {x} sees {an} {animal}. How many legs does it have?
            {x} and {y} look at {an} {animal}. How many legs?
            What is the number of legs of {an} {animal}?
            {x} wants to know how many legs {an} {animal} has.
        """),
        "breath": lines("""
            With what does {an} {animal} breathe?
            {x} watches {an} {animal}. What does it breathe with?
            What does {an} {animal} use to breathe?
            {x} asks what {an} {animal} breathes with.
            {x} draws {an} {animal}. With what does it breathe?
            How does the {animal} of {x} breathe, with what?
            Tell {x} what {an} {animal} breathes with.
            {x} and {y} talk about {an} {animal}. What does it breathe with?
            {an} {animal} breathes with what, asks {x}.
        """),
        "young": lines("""
            Does {an} {animal} lay eggs or have live young?
            {x} asks if {an} {animal} lays eggs or has live young.
            What does {an} {animal} have, eggs or live young?
            Does the {animal} of {x} lay eggs or have live young?
            {x} sees {an} {animal}. Has it eggs or live young?
            Eggs or live young: what does {an} {animal} have?
            Tell {x} if {an} {animal} has eggs or live young.
            {x} and {y} ask: has {an} {animal} eggs or live young?
        """),
        "class": lines("""
            Is {an} {animal} a bird, fish, insect or mammal?
            Is the {animal} of {x} a bird, fish, insect or mammal?
            To which class does {an} {animal} belong?
            {x} asks what class of animal {an} {animal} is.
            {x} draws {an} {animal}. What class of animal is it?
            Which class of animal is {an} {animal}?
            Tell {x} the class of {an} {animal}.
            {x} sees {an} {animal}. To which class does it belong?
            Bird, fish, insect or mammal: what is {an} {animal}?
            {x} says {an} {animal} is in one class. Which?
        """),
        "float": lines("""
            {x} puts {stuff} into water. Does it float or sink?
            Does {stuff} float or sink in water?
            {x} throws {stuff} into the lake. Does it float?
            {stuff} lies on the lake of {x}. Does it float?
            {x} drops {stuff} into deep water. Does it float?
            Will {stuff} float or sink when {x} lets it go in water?
            {x} and {y} put {stuff} on the pond. Does it sink?
            Tell {x} if {stuff} will float or sink.
            What happens when {x} throws {stuff} into water, does it float?
            In the bath of {x} there is {stuff}. Does it float?
        """),
        "magnet": lines("""
            {x} holds a magnet near {stuff}. Does it stick?
            Does a magnet pull {stuff}?
            Will {stuff} stick to the magnet of {x}?
            Can {x} lift {stuff} with a magnet?
            {x} moves a magnet to {stuff}. Is it pulled?
            Does the magnet of {x} pull {stuff}?
            {x} asks if {stuff} sticks to a magnet.
            Tell {x} if a magnet pulls {stuff}.
            {x} and {y} have a magnet and {stuff}. Does it stick?
            Can a magnet of {x} hold {stuff}?
        """),
        "water": lines("""
            Water has {a} degrees. Is it ice, water or steam?
            {x} brings water to {a} degrees. Is it ice, water or steam?
            What is water at {a} degrees: ice, water or steam?
            In the pot of {x} it is {a} degrees. Is there ice, water or steam?
            {x} measures water of {a} degrees. Is it ice, water or steam?
            At {a} degrees, does {x} have ice, water or steam?
            The water of {x} has {a} degrees. Is that ice, water or steam?
            {x} reads {a} degrees. Ice, water or steam?
            Tell {x} what water is at {a} degrees: ice, water or steam.
            At {a} degrees, which: ice, water or steam?
        """),
    },
    new={
        "cover": lines("""
            {x} strokes {an} {animal}. What lies on its skin?
            Which body cover is {an} {animal} born with, asks {x}.
        """),
        "legs": lines("""
            {x} counts the legs of {an} {animal}. What number comes out?
            On how many legs can {an} {animal} of {x} stand?
        """),
        "breath": lines("""
            Explain to {x} what {an} {animal} takes in air with.
            By what means does {an} {animal} of {x} breathe?
        """),
        "young": lines("""
            {x} wonders about {an} {animal}: eggs or live young?
            How do young of {an} {animal} come, {x} asks: eggs or live young?
        """),
        "class": lines("""
            Help {x} sort {an} {animal}: bird, fish, insect or mammal.
            {x} has a picture of {an} {animal}. Which class is it?
        """),
        "float": lines("""
            The boat of {x} loses {stuff}. Will it float or sink?
            Will {stuff} of {x} go down, sink or float?
        """),
        "magnet": lines("""
            Is {stuff} drawn to the magnet of {x}?
            {x} tries a magnet on {stuff}. Is it pulled?
        """),
        "water": lines("""
            The thermometer of {x} in water shows {a} degrees. Ice, water or steam?
            Water of {x} has {a} degrees. Which form: ice, water or steam?
        """),
    },
)
