"""Worked examples of the puzzles of language and common knowledge. All our own."""

from pocketphi.eval.tasks.bbh.shape import Example, with_options, with_words


def _cause(story: str, steps: str, verdict: str) -> Example:
    question = f"How would a typical person answer each of the following questions about causation?\n{story}"
    return with_words(question, ("Yes", "No"), steps, verdict)


def _pronoun(sentence: str, choices: tuple[str, str], steps: str, right: str) -> Example:
    question = "In the following sentence, tell what the pronoun refers to, or that it is ambiguous."
    return with_options(f"{question}\nSentence: {sentence}", (*choices, "Ambiguous"), steps, right)


def _adjectives(first: str, second: str, steps: str, right: str) -> Example:
    return with_options("Which sentence has the correct adjective order:", (first, second), steps, right)


def _movie(liked: str, choices: tuple[str, ...], steps: str, right: str) -> Example:
    return with_options(f"Find a movie similar to {liked}:", choices, steps, right)


def _name(name: str, choices: tuple[str, ...], steps: str, right: str) -> Example:
    question = f"Which of the following is a humorous edit of this artist or movie name: '{name}'?"
    return with_options(question, choices, steps, right)


_ERRORS = (
    "Modifiers or Adjectives",
    "Numerical Values",
    "Negation or Antonyms",
    "Named Entities",
    "Dropped Content",
    "Facts",
)


def _translation(source: str, translated: str, steps: str, right: str) -> Example:
    question = (
        "The following translation from German to English contains one error. "
        f"Source: {source}\nTranslation: {translated}\nThe translation contains an error pertaining to"
    )
    return with_options(question, _ERRORS, steps, right)


def _sarcasm(first: str, second: str, steps: str, right: str) -> Example:
    return with_options("Which statement is sarcastic?", (first, second), steps, right)


def _sport(sentence: str, steps: str, verdict: str) -> Example:
    return Example(f'Is the following sentence plausible? "{sentence}"', steps, verdict)


def _sorted(words: str, steps: str, answer: str) -> Example:
    return Example(f"Sort the following words alphabetically: List: {words}", steps, answer)


LANGUAGE: dict[str, tuple[Example, ...]] = {
    "causal_judgement": (
        _cause(
            "A shop opens its door if the owner or her son turns a key. This morning her son, who is always "
            "there first, "
            "stayed in bed. The owner turned her key, and the door opened. Did the owner cause the door to open?",
            "One key is enough, and only the owner turned hers. People say that she caused it.",
            "Yes",
        ),
        _cause(
            "A gardener waters a plant every day. A storm that nobody had expected breaks the greenhouse, and "
            "the plant "
            "freezes that night. Did the gardener's watering cause the plant to freeze?",
            "The storm broke the greenhouse, and the watering changed nothing. People say that the storm caused it.",
            "No",
        ),
        _cause(
            "A manager wants to save money and orders a cheaper paint. He is told that it will spoil the river, "
            "and says that "
            "he does not care. The river is spoilt. Did the manager intentionally spoil the river?",
            "He knew of the harm and went on. People call a foreseen harm that someone does not care about "
            "intentional.",
            "Yes",
        ),
    ),
    "disambiguation_qa": (
        _pronoun(
            "The painter thanked the carpenter because he had lent her a ladder.",
            ("The painter had lent a ladder", "The carpenter had lent a ladder"),
            "One thanks the person who lent something, so he is the carpenter.",
            "The carpenter had lent a ladder",
        ),
        _pronoun(
            "The clerk met the guard after she had finished work.",
            ("The clerk had finished work", "The guard had finished work"),
            "Either of them can have finished work, and nothing tells which.",
            "Ambiguous",
        ),
        _pronoun(
            "The pilot told the mechanic that he had found a crack while repairing the wing.",
            ("The pilot had found a crack", "The mechanic had found a crack"),
            "To tell someone what he found himself would be odd, so the one who tells it found it.",
            "The pilot had found a crack",
        ),
    ),
    "hyperbaton": (
        _adjectives(
            "lovely small old wooden chair",
            "wooden small lovely old chair",
            "The order is opinion, size, age, shape, colour, origin, material. Lovely, small, old, wooden keeps it.",
            "lovely small old wooden chair",
        ),
        _adjectives(
            "green huge Dutch tulip",
            "huge green Dutch tulip",
            "The order is opinion, size, age, shape, colour, origin, material. Size stands before colour: huge green.",
            "huge green Dutch tulip",
        ),
        _adjectives(
            "silly new round paper hat",
            "new paper silly round hat",
            "The order is opinion, size, age, shape, colour, origin, material. Silly, new, round, paper keeps it.",
            "silly new round paper hat",
        ),
    ),
    "movie_recommendation": (
        _movie(
            "Finding Nemo, Ratatouille, Up, WALL-E",
            ("Alien", "Inside Out", "Heat", "Rear Window"),
            "All four are animated films for families by one studio. Inside Out is one too.",
            "Inside Out",
        ),
        _movie(
            "Psycho, Vertigo, The Birds, North by Northwest",
            ("Rear Window", "Cars", "Mamma Mia!", "Grease"),
            "All four are thrillers by Alfred Hitchcock. Rear Window is one too.",
            "Rear Window",
        ),
        _movie(
            "The Hobbit, Willow, The Princess Bride, Stardust",
            ("Wall Street", "Moneyball", "Apollo 13", "The NeverEnding Story"),
            "All four are fantasy adventures. The NeverEnding Story is one too.",
            "The NeverEnding Story",
        ),
    ),
    "ruin_names": (
        _name(
            "the great escape",
            ("the graet escape", "the great escapee", "the grate escape", "thee great escape"),
            "To flee from a cheese grater is funny, and it sounds the same. The others are slips of the keys.",
            "the grate escape",
        ),
        _name(
            "simon and garfunkel",
            ("simonn and garfunkel", "simon and garfunkle", "salmon and garfunkel", "simon nd garfunkel"),
            "Salmon is a fish and sounds like the name. The others are slips of the keys.",
            "salmon and garfunkel",
        ),
        _name(
            "dances with wolves",
            ("dancess with wolves", "dances with woks", "dances wiht wolves", "dance with wolves"),
            "To dance with a pan is funny. The others are slips of the keys.",
            "dances with woks",
        ),
    ),
    "salient_translation_error_detection": (
        _translation(
            "Die Brücke wurde 1912 gebaut und ist 300 Meter lang.",
            "The bridge was built in 1912 and is 800 metres long.",
            "The source says 300 metres, the translation 800. A number was changed.",
            "Numerical Values",
        ),
        _translation(
            "Das alte Rathaus steht am Marktplatz von Celle.",
            "The old town hall stands on the market square of Kiel.",
            "The source names Celle, the translation Kiel. A name was changed.",
            "Named Entities",
        ),
        _translation(
            "Der Fluss ist im Sommer nicht schiffbar.",
            "The river is navigable in summer.",
            "The source says that it is not navigable, and the translation leaves out the not. A negation was changed.",
            "Negation or Antonyms",
        ),
    ),
    "snarks": (
        _sarcasm(
            "Another meeting about meetings, just what I was hoping for",
            "Another day at the lake, just what I was hoping for",
            "Nobody hopes for a meeting about meetings, so it is not meant. A day at the lake is.",
            "Another meeting about meetings, just what I was hoping for",
        ),
        _sarcasm(
            "He checked the ropes twice, he is so careful",
            "He forgot the ropes twice, he is so careful",
            "To forget ropes is careless, so the praise is not meant.",
            "He forgot the ropes twice, he is so careful",
        ),
        _sarcasm(
            "The printer broke again, what a reliable machine",
            "The printer never broke, what a reliable machine",
            "A machine that breaks again is not reliable, so the praise is not meant.",
            "The printer broke again, what a reliable machine",
        ),
    ),
    "sports_understanding": (
        _sport(
            "Serena Williams hit a volley at the net.",
            "Serena Williams plays tennis. A volley at the net is part of tennis.",
            "yes",
        ),
        _sport(
            "Usain Bolt threw a touchdown pass.",
            "Usain Bolt is a sprinter. A touchdown pass belongs to American football.",
            "no",
        ),
        _sport(
            "Lionel Messi scored from a free kick.",
            "Lionel Messi plays football. A goal from a free kick is part of football.",
            "yes",
        ),
    ),
    "word_sorting": (
        _sorted(
            "lantern basket orchid",
            "First letters: lantern l, basket b, orchid o. In order: b, l, o.",
            "basket lantern orchid",
        ),
        _sorted(
            "maple magnet quiet drum",
            "First letters: d, m, m, q. Of the two with m, mag stands before map.",
            "drum magnet maple quiet",
        ),
        _sorted(
            "tin tiger window tide apron",
            "First letters: a, t, t, t, w. Of the three with t, tid stands before tig, and tig before tin.",
            "apron tide tiger tin window",
        ),
    ),
}
