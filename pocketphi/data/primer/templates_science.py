"""Animals, materials and water: what is true of them, and the sentences that ask about it."""

from pocketphi.data.primer.problem import Patterns, lines
from pocketphi.data.primer.world import words

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
