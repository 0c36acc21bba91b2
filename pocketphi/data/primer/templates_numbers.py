"""The sentences of adding and taking away.

Fields: {x}, {y}, {z} people; {a}, {b}, {c} numbers (sometimes as words); {thing}, {things}, {box}. No pattern
says eight words in a row without a name or a number, or 8-gram decontamination would find it everywhere.
"""

from pocketphi.data.primer.problem import Patterns, lines

ADD = Patterns(
    frames=("tell event ask", "tell event ask", "ask tell event", "whole", "both"),
    known={
        "tell": lines("""
            {x} has {a} {things}.
            {x} owns {a} {things}.
            {x} starts with {a} {things}.
            At first {x} has {a} {things}.
            There are {a} {things} on the table of {x}.
            {x} keeps {a} {things} in a {box}.
            In the morning {x} picks up {a} {things}.
            {x} finds {a} {things}.
            The {box} of {x} holds {a} {things}.
            {x} brings {a} {things} to school.
        """),
        "event": lines("""
            {y} gives {x} {b} more.
            Then {x} gets {b} more {things}.
            {x} finds {b} more.
            Later {x} buys {b} {things}.
            {y} brings {b} {things} to {x}.
            {x} wins {b} more {things} in a game.
            After lunch {x} gets another {b}.
            Then {y} hands {b} {things} to {x}.
            {x} adds {b} more.
            In the evening {x} receives {b} {things} from {y}.
        """),
        "ask": lines("""
            How many {things} does {x} have now?
            How many {things} does {x} have in all?
            What is the number of {things} that {x} has now?
            How many {things} are there in all?
            Count the {things} of {x}.
            How many {things} is that altogether?
            Find how many {things} {x} has in the end.
            Tell me how many {things} {x} has now.
        """),
        "whole": lines("""
            If {x} has {a} {things} and gets {b} more, how many {things} does {x} have?
            {x} had {a} {things}, and {y} gave {x} {b} more. How many {things} does {x} have?
            How many {things} does {x} have after {y} adds {b} to the {a} of {x}?
        """),
        "both": lines("""
            {x} has {a} {things} and {y} has {b}. How many do they have together?
            How many {things} do {x} and {y} have together if {x} has {a} and {y} has {b}?
            {x} and {y} put their {things} in one {box}: {a} and {b}. How many are in the {box}?
            {x} finds {a} {things}. {y} finds {b}. How many {things} do they find in all?
        """),
    },
    new={
        "tell": lines("""
            The collection of {x} counts {a} {things}.
            On Monday {x} already had {a} {things}.
            {a} {things} belong to {x}.
            {x} carries home {a} {things}.
        """),
        "event": lines("""
            On the next day {b} more {things} arrive for {x}.
            A parcel from {y} with {b} {things} comes for {x}.
            {x} is lucky and gets {b} extra.
            {y} lets {x} have {b} {things} too.
        """),
        "ask": lines("""
            How large is the collection of {x} now?
            With how many {things} does {x} end up?
            So how many {things} belong to {x}?
            Work out how many {things} {x} has got.
        """),
        "whole": lines("""
            {x} takes {a} {things} and later {b} more. What is the sum of {things}?
        """),
        "both": lines("""
            {x} takes {a} {things} and {y} takes {b}. What is the sum of their {things}?
            Suppose {x} collects {a} {things} and {y} collects {b}. How many is that together?
        """),
    },
)

THEN_LESS = lines("""
    Then {x} gives away {c}. How many are left?
    And if {x} then loses {c} of them?
    Later {x} sells {c}. How many does {x} still have?
    Now {c} of them break. How many remain?
""")

SUBTRACT = Patterns(
    frames=("tell event ask", "tell event ask", "ask tell event", "whole"),
    known={
        "tell": lines("""
            {x} has {a} {things}.
            {x} owns {a} {things}.
            {x} starts with {a} {things}.
            At first {x} has {a} {things}.
            There are {a} {things} in the {box} of {x}.
            {x} buys {a} {things}.
            {x} takes {a} {things} along.
            The {box} of {x} holds {a} {things}.
            In the morning {x} has {a} {things}.
        """),
        "event": lines("""
            {x} gives {b} to {y}.
            Then {x} loses {b} of them.
            {x} gives away {b} {things}.
            Later {b} {things} break.
            {y} takes {b} of them.
            {x} sells {b} {things}.
            {x} uses {b} of the {things}.
            On the way {x} drops {b}.
            Then {x} hands {b} {things} to {y}.
            {b} of the {things} get lost.
        """),
        "ask": lines("""
            How many {things} are left?
            How many {things} does {x} still have?
            How many {things} does {x} have left?
            How many remain for {x}?
            What is the number of {things} that {x} still has?
            Find how many {things} {x} keeps.
            Tell me how many {things} remain.
            With how many {things} is {x} left?
        """),
        "whole": lines("""
            If {x} has {a} {things} and gives away {b}, how many are left?
            {x} had {a} {things} but lost {b}. How many {things} does {x} have now?
            How many {things} does {x} keep after giving {b} of {a} {things} to {y}?
            From {a} {things} {x} takes away {b}. How many stay in the {box}?
        """),
    },
    new={
        "tell": lines("""
            The stock of {x} is {a} {things}.
            {x} came with {a} {things}.
            {a} {things} belong to {x}.
            Yesterday {x} still owned {a} {things}.
        """),
        "event": lines("""
            Today {x} parts with {b} of them.
            {y} borrows {b} of these {things}.
            A thief runs off with {b} {things}.
            {x} throws {b} {things} away.
        """),
        "ask": lines("""
            How big is the rest?
            What remains of the {things} of {x}?
            Say how many {things} {x} has not lost.
            How many {things} can {x} still count?
        """),
        "whole": lines("""
            {x} wants to keep all {a} {things}, but {y} needs {b} of them. How many can {x} keep?
            Out of {a} {things} that {x} packed, {b} were stolen. How many were not?
        """),
    },
)

TWO_STEP = Patterns(
    frames=("tell gain loss ask", "tell gain loss ask", "ask tell gain loss", "whole"),
    known={
        "tell": lines("""
            {x} has {a} {things}.
            {x} starts with {a} {things}.
            At first {x} owns {a} {things}.
            There are {a} {things} in the {box} of {x}.
            {x} puts {a} {things} in a {box}.
        """),
        "gain": lines("""
            {y} gives {x} {b} more.
            Then {x} buys {b} more {things}.
            {x} finds another {b}.
            First {x} gets {b} more.
            {x} wins {b} {things}.
            Then {b} more {things} come in.
        """),
        "loss": lines("""
            After that {x} loses {c}.
            Then {x} gives {c} to {z}.
            Later {c} {things} break.
            {z} takes {c} of them.
            In the end {x} sells {c} {things}.
            Next {x} uses {c} of them.
        """),
        "ask": lines("""
            How many {things} does {x} have in the end?
            How many {things} does {x} have after that?
            How many {things} are there now?
            What does {x} have in the end?
            Tell me the number of {things} at the end.
        """),
        "whole": lines("""
            {x} has {a} {things}, gets {b} and loses {c}. How many {things} does {x} have?
            If {x} has {a} {things}, finds {b} and gives {c} away, how many has {x}?
        """),
    },
    new={
        "tell": lines("""
            The collection of {x} counts {a} {things}.
            Yesterday {x} owned {a} {things}.
            {x} came with {a} {things}.
        """),
        "gain": lines("""
            A parcel brings {x} {b} extra.
            {y} adds {b} of their own for {x}.
            Overnight {x} gains {b} {things}.
        """),
        "loss": lines("""
            Today {x} parts with {c} again.
            Afterwards {z} borrows {c} of these.
            Sadly {c} {things} fall into the river.
        """),
        "ask": lines("""
            With how many {things} does {x} end up?
            How large is the collection of {x} now?
            Work out what {x} is left with.
        """),
    },
    new_frames=("tell gain loss ask", "ask tell gain loss"),
)

START = Patterns(
    frames=("tell event now ask", "tell event now ask", "event now ask", "whole"),
    known={
        "tell": lines("""
            {x} has some {things}.
            There are some {things} in the {box} of {x}.
            {x} comes with some {things}.
            {x} has a {box} of {things}.
        """),
        "event": lines("""
            {x} gives away {a} {things}.
            {x} gives {a} of the {things} to {y}.
            Then {x} loses {a} {things}.
            {y} takes {a} {things} from {x}.
            {x} sells {a} of the {things}.
            Then {x} uses {a} {things}.
            {x} drops {a} of the {things}.
            {a} of the {things} of {x} get lost.
        """),
        "now": lines("""
            Now {x} has {b} left.
            After that {x} has {b}.
            Now there are {b} left.
            {x} still has {b} {things}.
            {b} {things} remain.
            Now {b} are left for {x}.
            {x} counts {b} after that.
            In the end {x} has {b} {things}.
        """),
        "ask": lines("""
            How many {things} did {x} have before?
            How many {things} did {x} have at first?
            With how many {things} did {x} start?
            Find the number of {things} before.
            How many {things} were there at the start?
            What did {x} have in the beginning?
        """),
        "whole": lines("""
            After giving away {a} {things}, {x} has {b} left. How many were there before?
            {x} lost {a} {things} and has {b} now. How many did {x} have at first?
        """),
    },
    new={
        "event": lines("""
            Today {x} parts with {a} {things}.
            {y} borrows {a} {things} that belong to {x}.
            A thief steals {a} {things} from {x}.
        """),
        "now": lines("""
            That leaves {x} with {b}.
            The rest that {x} keeps is {b}.
            {x} can still count {b}.
        """),
        "ask": lines("""
            How large was the collection of {x} earlier?
            How many {things} had {x} owned until then?
            Work out how many {things} it was originally.
        """),
    },
    new_frames=("event now ask",),
)

DIFFERENCE = Patterns(
    frames=("tell1 tell2 ask", "tell1 tell2 ask", "ask tell1 tell2", "whole"),
    known={
        "tell": lines("""
            {x} has {a} {things}.
            {x} owns {a} {things}.
            There are {a} {things} in the {box} of {x}.
            {x} finds {a} {things}.
            {x} picks {a} {things}.
            {x} counts {a} {things}.
            {x} brings {a} {things}.
            {x} holds {a} {things}.
        """),
        "ask": lines("""
            How many more {things} does {x} have than {y}?
            How many more does {x} have?
            How many fewer {things} does {y} have than {x}?
            What is the difference?
            By how many is {x} ahead of {y}?
            How many {things} does {y} need to reach {x}?
            How many {things} is {y} short of {x}?
        """),
        "whole": lines("""
            {x} has {a} {things} and {y} has {b}. How many more does {x} have?
            If {x} has {a} {things} and {y} only {b}, how many more has {x}?
            How many more are the {a} {things} of {x} than the {b} of {y}?
        """),
    },
    new={
        "tell": lines("""
            The collection of {x} counts {a} {things}.
            {x} came with {a} {things}.
            {a} {things} belong to {x}.
        """),
        "ask": lines("""
            How big is the lead of {x}?
            How many {things} must {y} get to draw level with {x}?
            What does {y} lack to be equal with {x}?
        """),
    },
    new_frames=("tell1 tell2 ask",),
)
