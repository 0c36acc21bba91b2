"""Long context: can a model use what stands far back? Texts are generated, so nobody can have learnt them.

A pass key at a known depth (Mohtashami and Jaggi 2023, arXiv 2305.16300), and tasks in the manner of RULER (Hsieh et
al. 2024, arXiv 2404.06654): one or several needles, values and questions, a text of nothing but needles, variables that
are handed on, the commonest words of a list, the commonest words of a coded text, and questions about one person among
others, in one hop or two. The wording, the filler and the word lists are ours, so a figure can be set beside the
report's RULER averages (3.5-mini: 94.3 at 4k, 63.6 at 128k), but is not the same measurement.

A row has no tokenizer, so its text is sized in characters: by the fewest characters a token that its kind of text had
under Phi-3's and SmolLM2's tokenizers, less a reserve for question, template and answer. A text of 4k so takes up less
than 4,096 tokens, and not exactly as many under each tokenizer.

`acc` is the share of the wanted words and numbers that stand in the reply, each as a whole word; `exact`, whether all
do. A reply that lists more than it was asked for is not punished, as in RULER, but it has few tokens to do so.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from pocketphi.errors import UserError
from pocketphi.eval.tasks import haystack
from pocketphi.eval.tasks.prompt import Format, Prompt
from pocketphi.eval.tasks.rows import Row
from pocketphi.eval.tasks.task import Asked, BenchTask, Reply, Verdict, Written

LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHORTEST = 1024
_RESERVED_TOKENS = 150
"""For the instruction, the question, a chat template and how the answer begins."""
_NEEDLES = 4
_HOPS = 4
_COMMON_WORDS = 10
# Characters a token: the fewest under Phi-3's and SmolLM2's tokenizers, less some percent.
PROSE = 3.9
DIGITS = 2.15
LISTED = 1.7
CODED = 1.9
NAMES = 3.3
_PAIR = round(2 * sum(map(len, haystack.NOUNS)) / len(haystack.NOUNS))
"""Characters of two nouns, on average."""
_LIFE = 200
"""Characters of a document about a person, on average."""
_WORDS = re.compile(r"\w+")
_TRADES = ("baker", "carpenter", "doctor", "glazier", "miller", "painter", "pilot", "potter", "tailor", "weaver")


@dataclass(frozen=True, kw_only=True)
class Story:
    """A text, a question about it, and what a right answer has to hold."""

    instruction: str
    text: str
    question: str
    cue: str
    """How the answer begins."""
    answers: tuple[str, ...]


Write = Callable[[Random, int, float], Story]
"""From a generator, the length of the text in characters, and the depth of what is hidden."""


@dataclass(frozen=True)
class Kind:
    """One kind of task, at any length."""

    name: str
    title: str
    write: Write
    max_tokens: int
    characters_a_token: float
    """Of its text."""
    has_depth: bool = False


def pass_key(rng: Random, characters: int, depth: float) -> Story:
    """The classic."""
    (key,) = haystack.numbers(rng, 1, digits=5)
    needle = f"The pass key is {key}. Remember it. {key} is the pass key."
    return Story(
        instruction="There is a pass key hidden inside a lot of text that does not matter. Find it and remember it.",
        text=haystack.hide(haystack.sentences(rng, characters - len(needle)), [(depth, needle)]),
        question="What is the pass key?",
        cue="The pass key is",
        answers=(key,),
    )


def needles(rng: Random, characters: int, depth: float | None, *, keys: int, values: int, asked: int) -> Story:
    """Numbers that belong to keys.

    Args:
        depth: of the only needle; None for depths drawn by chance.
        keys: how many there are.
        values: numbers of each key.
        asked: how many keys are asked for.
    """
    owners = haystack.pairs(rng, keys, "-")
    drawn = haystack.numbers(rng, keys * values)
    owned = {owner: drawn[at * values : (at + 1) * values] for at, owner in enumerate(owners)}
    lines = [_needle(owner, number) for owner, numbers in owned.items() for number in numbers]
    rng.shuffle(lines)
    hay = haystack.sentences(rng, characters - sum(len(line) + 1 for line in lines))
    text = haystack.hide(hay, [(rng.random() if depth is None else depth, line) for line in lines])
    return _about_numbers(text, owned, sorted(rng.sample(owners, asked)))


def only_needles(rng: Random, characters: int, depth: float) -> Story:
    """A text of needles: nothing but the key tells the right one from the others."""
    del depth
    count = characters // (_PAIR + len(_needle("-", "0000000")) + 1)
    owned = {owner: [n] for owner, n in zip(haystack.pairs(rng, count, "-"), haystack.numbers(rng, count), strict=True)}
    text = haystack.hide([_needle(owner, number) for owner, (number,) in owned.items()], [])
    return _about_numbers(text, owned, [rng.choice(list(owned))])


def variables(rng: Random, characters: int, depth: float) -> Story:
    """Two numbers, each handed on from variable to variable; which hold the first?"""
    del depth
    letters = [chr(ord("A") + index) for index in range(26)]
    drawn = sorted({"".join(rng.sample(letters, 5)) for _ in range(40)})
    rng.shuffle(drawn)
    size = _HOPS + 1
    chains = (drawn[:size], drawn[size : 2 * size])
    values = haystack.numbers(rng, 2, digits=5)
    hidden: list[tuple[float, str]] = []
    for chain, value in zip(chains, values, strict=True):
        sources = [value, *(f"VAR {name}" for name in chain[:-1])]
        lines = [f"VAR {name} = {source}." for name, source in zip(chain, sources, strict=True)]
        hidden += zip(sorted(rng.random() for _ in lines), lines, strict=True)
    hay = haystack.sentences(rng, characters - sum(len(line) + 1 for _, line in hidden))
    return Story(
        instruction="Keep track of the variables that are assigned in the following text.",
        text=haystack.hide(hay, hidden),
        question=f"Which {size} variables have the value {values[0]}, directly or from another variable?",
        cue=f"The variables with the value {values[0]} are",
        answers=tuple(chains[0]),
    )


def common_words(rng: Random, characters: int, depth: float) -> Story:
    """A numbered list in which ten words come again more often than all others."""
    del depth
    entries = characters // (_PAIR + len("00000. "))
    often = min(30, entries // (2 * _COMMON_WORDS))
    seldom = min(3, often // 2)
    words = haystack.pairs(rng, _COMMON_WORDS + (entries - often * _COMMON_WORDS) // seldom, "")
    listed = [word for at, word in enumerate(words) for _ in range(often if at < _COMMON_WORDS else seldom)]
    rng.shuffle(listed)
    return Story(
        instruction=f"In the following numbered list, {_COMMON_WORDS} words come more often than all others.",
        text=" ".join(f"{number}. {word}" for number, word in enumerate(listed, 1)),
        question=f"Which are the {_COMMON_WORDS} words that come most often in the list?",
        cue=f"The {_COMMON_WORDS} words that come most often are",
        answers=tuple(words[:_COMMON_WORDS]),
    )


def frequent_words(rng: Random, characters: int, depth: float) -> Story:
    """A coded text whose words follow Zipf's law with exponent 2: the word of rank r has a share near r**-2."""
    del depth
    total = characters // len("bababa ")
    counts = [count for rank in range(1, total) if (count := int(total * 0.6 / rank**2)) > 0]
    words = haystack.codes(rng, len(counts))
    text = [word for word, count in zip(words, counts, strict=True) for _ in range(count)]
    rng.shuffle(text)
    return Story(
        instruction="The following text is in code. Watch how often each of its words comes.",
        text=" ".join(text),
        question="Which are the three words that come most often in the text?",
        cue="The three words that come most often are",
        answers=tuple(words[:3]),
    )


def people(rng: Random, characters: int, depth: float, *, hops: int) -> Story:
    """Short lives of many people; where was one of them born, or the one that taught them?"""
    del depth
    count = characters // _LIFE
    who = haystack.names(rng, count)
    town = {name: key.title() for name, key in zip(who, haystack.pairs(rng, count, ""), strict=True)}
    teacher = {name: rng.choice([other for other in rng.sample(who, 2) if other != name]) for name in who}
    lives = [
        f"Document {number}: {name} was born in {town[name]} and works as a {rng.choice(_TRADES)}. "
        f"The trade was taught to {name} by {teacher[name]}. {haystack.sentences(rng, 120)[0]}"
        for number, name in enumerate(who, 1)
    ]
    name = rng.choice(who)
    wanted = name if hops == 1 else teacher[name]
    asked = name if hops == 1 else f"the person who taught {name}"
    return Story(
        instruction="Answer the question from the following documents.",
        text="\n".join(lives),
        question=f"In which town was {asked} born?",
        cue="The town is",
        answers=(town[wanted],),
    )


KINDS: tuple[Kind, ...] = (
    Kind("passkey", "Pass key", pass_key, 32, PROSE, has_depth=True),
    Kind("needle", "Needle", partial(needles, keys=1, values=1, asked=1), 64, PROSE, has_depth=True),
    Kind("multikey", "Needle, several keys", partial(needles, keys=_NEEDLES, values=1, asked=1), 64, PROSE),
    Kind("only_needles", "Needle among needles", only_needles, 64, DIGITS),
    Kind("multivalue", "Needle, several values", partial(needles, keys=1, values=_NEEDLES, asked=1), 128, PROSE),
    Kind(
        "multiquery", "Needle, several questions", partial(needles, keys=_NEEDLES, values=1, asked=_NEEDLES), 128, PROSE
    ),
    Kind("variables", "Variable tracking", variables, 64, PROSE),
    Kind("common_words", "Common words", common_words, 128, LISTED),
    Kind("frequent_words", "Frequent words", frequent_words, 64, CODED),
    Kind("one_hop", "Questions, one hop", partial(people, hops=1), 32, NAMES),
    Kind("two_hops", "Questions, two hops", partial(people, hops=2), 32, NAMES),
)


def long_context_tasks(
    lengths: Sequence[int] = LENGTHS, items: int = 20, seed: int = 0, kinds: Sequence[Kind] = KINDS
) -> tuple[BenchTask, ...]:
    """Every kind at every length, such as `passkey_4k`.

    Args:
        lengths: tokens that prompt and answer take up at most, at least 1024; 4096 is called `4k`.
        items: texts of each task. Those with a depth go through 5 of them in turn.
        seed: of the texts; the same for every model that is to be compared.
    """
    short = [length for length in lengths if length < _SHORTEST]
    if short:
        raise UserError(f"a length of {short[0]} tokens is too short", hint=f"{_SHORTEST} is the least")
    return tuple(_task(kind, length, items, seed) for kind in kinds for length in lengths)


def ask_story(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """The text between what to watch for and the question."""
    del shots
    parts = (row.meta["instruction"], row.context, form.question + row.question)
    prompt = Prompt(question=(2 * form.line).join(parts), cue=row.meta["cue"], line=form.line, example=form.example)
    return Written(prompt=prompt, max_tokens=row.meta["max_tokens"])


def judge_story(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`acc`: the share of the wanted words in the reply; `exact`: all of them."""
    del asked
    assert isinstance(reply, str)
    assert isinstance(row.answer, tuple)
    said = set(_WORDS.findall(reply.casefold()))
    found = [answer for answer in row.answer if answer.casefold() in said]
    share = len(found) / len(row.answer)
    return Verdict(
        scores={"acc": share, "exact": float(share == 1)}, answer=", ".join(found), expected=", ".join(row.answer)
    )


def _task(kind: Kind, length: int, items: int, seed: int) -> BenchTask:
    size = f"{length // 1024}k" if length % 1024 == 0 else str(length)
    return BenchTask(
        name=f"{kind.name}_{size}",
        title=f"{kind.title}, {size}",
        version=1,
        file="",
        metric="acc",
        shots=0,
        ask=ask_story,
        judge=judge_story,
        rows=partial(_rows, kind, length, items, seed),
    )


def _rows(kind: Kind, length: int, items: int, seed: int) -> tuple[Row, ...]:
    return tuple(_row(kind, length, item, seed) for item in range(items))


def _row(kind: Kind, length: int, item: int, seed: int) -> Row:
    name = f"{kind.name}/{length}/{seed}/{item}"
    depth = DEPTHS[item % len(DEPTHS)]
    characters = int((length - _RESERVED_TOKENS - kind.max_tokens) * kind.characters_a_token)
    story = kind.write(Random(f"pocketphi long context {name}"), characters, depth)  # noqa: S311 - texts, not secrets
    return Row(
        id=name,
        question=story.question,
        answer=story.answers,
        context=story.text,
        subset=f"depth {depth:.0%}" if kind.has_depth else "",
        meta={"instruction": story.instruction, "cue": story.cue, "max_tokens": kind.max_tokens},
    )


def _needle(owner: str, number: str) -> str:
    return f"The number of the {owner} is {number}."


def _about_numbers(text: str, owned: Mapping[str, Sequence[str]], asked: Sequence[str]) -> Story:
    answers = tuple(number for owner in asked for number in owned[owner])
    listed = ", ".join(asked)
    return Story(
        instruction="Some numbers of things are hidden in the following text. Find them and remember them.",
        text=text,
        question=(
            f"What is the number of the {listed}?"
            if len(answers) == 1
            else f"What are all the {len(answers)} numbers of the {listed}?"
        ),
        cue=f"The number of the {listed} is"
        if len(answers) == 1
        else f"The {len(answers)} numbers of the {listed} are",
        answers=answers,
    )


LONG_CONTEXT = long_context_tasks()
