"""The sentences of short stories (where is it, who has it) and of Python snippets.

Fields: {x}, {y}, {z} people; {item} something; {place}, {from}, {to} places; {code} a program.
"""

from pocketphi.data.primer.problem import Patterns, lines

WHERE = Patterns(
    frames=(
        "put move ask",
        "put move1 move2 ask",
        "put move other ask",
        "put other move ask",
        "put move1 other move2 ask",
    ),
    known={
        "put": lines("""
            {x} puts the {item} in the {from}.
            {x} leaves the {item} in the {from}.
            The {item} of {x} is in the {from}.
            {x} lays the {item} down in the {from}.
            {x} sees the {item} in the {from}.
            At first the {item} is in the {from}.
            {x} has left the {item} in the {from}.
            In the morning {x} puts the {item} in the {from}.
        """),
        "move": lines("""
            {x} carries the {item} to the {to}.
            Then {x} takes the {item} to the {to}.
            {x} brings the {item} to the {to}.
            Later {x} moves the {item} to the {to}.
            {x} takes up the {item} and enters the {to}.
            After lunch {x} brings the {item} into the {to}.
            The {item} is taken to the {to} by {x}.
            As {x} needs it, the {item} goes to the {to}.
        """),
        "other": lines("""
            {w} goes to the {place}.
            {w} works in the {place}.
            {w} takes a {second} to the {place}.
            {w} waits in the {place}.
            {w} carries a {second} to the {place}.
            A {second} is in the {place}.
        """),
        "ask": lines("""
            Where is the {item}?
            Where is the {item} now?
            In which place is the {item}?
            Where can we find the {item}?
            Where should {w} look for the {item}?
            Tell me where the {item} is.
            Where is the {item} at the end?
            What place has the {item} now?
        """),
    },
    new={
        "put": lines("""
            {x} forgets the {item} in the {from}.
            {x} places the {item} in the {from}.
            Since yesterday the {item} of {x} lies in the {from}.
        """),
        "move": lines("""
            {x} fetches the {item} and runs with it to the {to}.
            With the {item} in hand {x} comes to the {to}.
            {x} transports the {item} into the {to}.
        """),
        "other": lines("""
            {w} sleeps in the {place}.
            {w} sends a {second} to the {place}.
            {w} sings in the {place}.
        """),
        "ask": lines("""
            Which place holds the {item} in the end?
            {w} wants the {item}. Where does {w} find it?
            Say where the {item} ended up.
        """),
    },
)

WHO = Patterns(
    frames=(
        "have give ask",
        "have give1 give2 ask",
        "have give1 give2 ask",
        "have give other ask",
        "have other give ask",
    ),
    known={
        "have": lines("""
            {x} has the {item}.
            {x} owns the {item}.
            The {item} is with {x}.
            {x} holds the {item}.
            {x} finds the {item}.
            At first {x} has the {item}.
            {x} buys the {item}.
            In the morning {x} has the {item}.
        """),
        "give": lines("""
            {p} gives the {item} to {q}.
            Then {p} hands the {item} to {q}.
            {p} passes the {item} to {q}.
            {q} takes the {item} from {p}.
            {q} gets the {item} from {p}.
            Later {p} gives {q} the {item}.
            {q} receives the {item} from {p}.
            {p} throws the {item} to {q}.
        """),
        "other": lines("""
            {w} goes to the {place}.
            {w} has a {second}.
            {w} waits in the {place}.
            {w} buys a {second}.
            {w} carries a {second}.
            {w} talks about the {second}.
        """),
        "ask": lines("""
            Who has the {item}?
            Who has the {item} now?
            With whom is the {item}?
            Who holds the {item} at the end?
            Who has got the {item}?
            Tell me who has the {item}.
            In whose hands is the {item}?
            Who is the last to have the {item}?
        """),
    },
    new={
        "have": lines("""
            {x} walks about with the {item}.
            The owner of the {item} is {x}.
            Yesterday {x} was given the {item}.
        """),
        "give": lines("""
            {p} sends the {item} to {q} by post.
            As a present from {p}, {q} gets the {item}.
            {q} asks {p} for the {item} and gets it.
        """),
        "other": lines("""
            {w} dreams of a {second}.
            {w} sleeps in the {place}.
            {w} paints a {second}.
        """),
        "ask": lines("""
            Who can use the {item} in the end?
            Whom must we ask for the {item}?
            Name the one who has the {item}.
        """),
    },
)

WHERE_FIRST = lines("""
    And where was the {item} at first?
    Where was it at the beginning?
    Where did {x} have the {item} before?
    In which place was the {item} first?
""")
WHO_FIRST = lines("""
    And who had the {item} at first?
    Who had it at the beginning?
    Who was the first to have the {item}?
    With whom was the {item} in the beginning?
""")

PYTHON = Patterns(
    frames=(
        "ask sum",
        "ask product",
        "ask update",
        "ask letters",
        "ask items",
        "ask index",
        "ask loop",
        "ask branch",
        "ask call",
        "ask last",
    ),
    known={
        "ask": lines("""
            What does this Python code print?
            What is the output?
            Read the program of {x}. What does it print?
            {x} runs this Python code. What does {x} see?
            What is printed here?
            Tell {x} the output.
            What does the small program of {x} print?
            Which output does {x} get here?
            Look at the code of {x}. What is the output?
            What does {x} see when this program runs?
        """),
        "sum": ("\n{v} = {a}\n{w} = {b}\nprint({v} + {w})", "\n{v} = {a}\nprint({v} + {b})", "\nprint({a} + {b})"),
        "product": ("\n{v} = {c}\nprint({v} * {d})", "\nprint({c} * {d})", "\n{v} = {c}\n{w} = {d}\nprint({v} * {w})"),
        "update": ("\n{v} = {a}\n{v} = {v} + {b}\nprint({v})", "\n{v} = {a}\n{v} += {b}\nprint({v})"),
        "letters": ('\nprint(len("{word}"))', '\n{v} = "{word}"\nprint(len({v}))'),
        "items": ("\n{v} = [{items}]\nprint(len({v}))", "\nprint(len([{items}]))"),
        "index": ("\n{v} = [{items}]\nprint({v}[{i}])", "\nprint([{items}][{i}])"),
        "loop": (
            "\n{v} = 0\nfor {w} in [{items}]:\n    {v} = {v} + {w}\nprint({v})",
            "\n{v} = 0\nfor {w} in [{items}]:\n    {v} += {w}\nprint({v})",
        ),
        "branch": (
            '\n{v} = {a}\nif {v} > {b}:\n    print("yes")\nelse:\n    print("no")',
            '\nif {a} > {b}:\n    print("yes")\nelse:\n    print("no")',
        ),
        "call": (
            "\ndef {f}({w}):\n    return {w} + {b}\nprint({f}({a}))",
            "\ndef {f}({v}, {w}):\n    return {v} + {w}\nprint({f}({a}, {b}))",
        ),
        "last": ("\n{v} = [{items}]\nprint({v}[-1])", "\nprint([{items}][-1])"),
    },
    new={
        "ask": lines("""
            {x} starts this script. Which text appears?
            Predict for {x} what the program shows.
            The teacher of {x} shows this code. What result appears?
        """),
        "sum": ("\n{v}, {w} = {a}, {b}\nprint({w} + {v})", "\n{v} = {a} + {b}\nprint({v})"),
        "product": ("\n{v} = {c} * {d}\nprint({v})",),
        "update": ("\n{v} = {a}\n{w} = {v} + {b}\n{v} = {w}\nprint({v})",),
        "letters": ('\n{v} = len("{word}")\nprint({v})',),
        "items": ("\n{v} = len([{items}])\nprint({v})",),
        "index": ("\n{v} = [{items}]\n{w} = {v}[{i}]\nprint({w})",),
        "loop": ("\n{v} = [{items}]\n{s} = 0\nfor {w} in {v}:\n    {s} += {w}\nprint({s})",),
        "branch": ('\n{v}, {w} = {a}, {b}\nif {v} > {w}:\n    print("yes")\nelse:\n    print("no")',),
        "call": ("\ndef {f}({w}):\n    {v} = {w} + {b}\n    return {v}\nprint({f}({a}))",),
        "last": ("\n{v} = [{items}]\n{w} = {v}[-1]\nprint({w})",),
    },
)
