"""The sentences of comparing, ordering, logic and family.

Fields: {x}, {y}, {z} people; {more}, {less}, {most}: forms of an adjective; {kind}, {kinds}: a class of things;
{parent}, {elder}, {child}: family words.
"""

from pocketphi.data.primer.problem import Patterns, lines

COMPARE = Patterns(
    frames=(
        "count1 count2 count_most",
        "count1 count2 count_least",
        "age1 age2 age_most",
        "age1 age2 age_least",
        "height1 height2 height_most",
        "height1 height2 height_least",
        "points1 points2 points_most",
        "points1 points2 points_least",
    ),
    known={
        "count": lines("""
            {x} has {a} {things}.
            {x} owns {a} {things}.
            There are {a} {things} in the {box} of {x}.
            {x} picks {a} {things}.
            {x} counts {a} {things}.
            {x} brings {a} {things}.
            The {box} of {x} holds {a} {things}.
        """),
        "count_most": lines("""
            Who has more {things}?
            Which of the two has more?
            Does {p} or {q} have more {things}?
            Who has the larger number of {things}?
            Between {p} and {q}, who has more?
            Who has got more {things}, {q} or {p}?
            Tell me who has more {things}.
        """),
        "count_least": lines("""
            Who has fewer {things}?
            Which of the two has fewer?
            Does {p} or {q} have fewer {things}?
            Who has the smaller number of {things}?
            Between {p} and {q}, who has fewer?
            Who has got fewer {things}, {q} or {p}?
            Tell me who has fewer {things}.
        """),
        "age": lines("""
            {x} is {a} years old.
            The age of {x} is {a} years.
            {x} has lived for {a} years.
            {x} turned {a} this year.
            In the passport of {x} the age is {a}.
            {x} is now {a}.
        """),
        "age_most": lines("""
            Who is older?
            Is {p} or {q} older?
            Between {p} and {q}, who is older?
            Which of the two is older?
            Who is the older one, {p} or {q}?
            Tell me who is older.
        """),
        "age_least": lines("""
            Who is younger?
            Is {p} or {q} younger?
            Between {p} and {q}, who is younger?
            Which of the two is younger?
            Who is the younger one, {p} or {q}?
            Tell me who is younger.
        """),
        "height": lines("""
            The tower of {x} is {a} metres high.
            {x} builds a tower of {a} metres.
            {x} throws a ball {a} metres high.
            {x} stands {a} metres above the ground.
            {x} jumps from {a} metres.
            The tree of {x} is {a} metres high.
        """),
        "height_most": lines("""
            Who got higher?
            Who reaches higher, {p} or {q}?
            Between {p} and {q}, who is higher?
            Which of the two is higher?
            Who has got higher, {q} or {p}?
            Tell me who is higher.
        """),
        "height_least": lines("""
            Who stays lower?
            Who is lower, {p} or {q}?
            Between {p} and {q}, who is lower?
            Which of the two is lower?
            Who has stayed lower, {q} or {p}?
            Tell me who is lower.
        """),
        "points": lines("""
            {x} gets {a} points.
            In the game {x} makes {a} points.
            {x} ends with {a} points.
            {x} has {a} points.
            The team of {x} makes {a} points.
            {x} reaches {a} points.
        """),
        "points_most": lines("""
            Who wins?
            Who has more points, {p} or {q}?
            Who is the winner, {p} or {q}?
            Which one has more points?
            Between {p} and {q}, who has more points?
            Tell me who wins.
        """),
        "points_least": lines("""
            Who loses?
            Who has fewer points, {p} or {q}?
            Who is behind, {p} or {q}?
            Which one has fewer points?
            Between {p} and {q}, who has fewer points?
            Tell me who loses.
        """),
    },
    new={
        "count": lines("""
            The collection of {x} counts {a} {things}.
            {x} came with {a} {things}.
        """),
        "count_most": lines("""
            Whose {things} are more?
            Name the one with more {things}.
        """),
        "count_least": lines("""
            Whose {things} are fewer?
            Name the one with fewer {things}.
        """),
        "age": lines("""
            {x} was born {a} years ago.
            {x} celebrates {a} years of life.
        """),
        "age_most": lines("""
            Name the older one.
            Which person is older?
        """),
        "age_least": lines("""
            Name the younger one.
            Which person is younger?
        """),
        "height": lines("""
            {x} climbs {a} metres up.
            The kite of {x} flies {a} metres high.
        """),
        "height_most": lines("""
            Name the higher one.
            Who is further up, being higher?
        """),
        "height_least": lines("""
            Name the lower one.
            Who is not as high but lower?
        """),
        "points": lines("""
            The score of {x} is {a} points.
            The judges give {x} {a} points.
        """),
        "points_most": lines("""
            Name the one with more points.
            Who gets the prize for more points?
        """),
        "points_least": lines("""
            Name the one with fewer points.
            Who is left with fewer points?
        """),
    },
)

ORDER = Patterns(
    frames=("tell1 tell2 ask", "tell1 tell2 ask", "ask tell1 tell2"),
    known={
        "tell": lines("""
            {p} is {more} than {q}.
            {q} is {less} than {p}.
            {q} is not as {plain} as {p}.
            Compared with {q}, {p} is {more}.
            We know that {p} is {more} than {q}.
            Everybody sees that {q} is {less} than {p}.
            Beside {p}, {q} is {less}.
            {p} is a little {more} than {q}.
        """),
        "ask": lines("""
            Who is the {most}?
            Which one is the {most}?
            Who of the three is the {most}?
            Name the {most} of the three.
            Tell me who is the {most}.
            Of {x}, {y} and {z}, who is the {most}?
            Find the {most} one.
            Is {x}, {y} or {z} the {most}?
        """),
    },
    new={
        "tell": lines("""
            It is clear that {p} is {more} than {q}.
            {q} looks {less} than {p}.
            {p} is much {more} than {q}.
        """),
        "ask": lines("""
            Among {x}, {y} and {z}, which is the {most}?
            Give the name of the {most}.
            Who must be called the {most}?
        """),
    },
)

SYLLOGISM = Patterns(
    frames=("rule fact ask", "rule fact ask", "fact rule ask", "ask rule fact"),
    known={
        "rule": lines("""
            {Every} {kind} is a {other}.
            {Every} {kind} that exists is a {other}.
            We know that {every} {kind} is a {other}.
            The book says that {every} {kind} is a {other}.
            {x} knows that {every} {kind} is a {other}.
            {x} tells us that {every} {kind} is a {other}.
        """),
        "fact": lines("""
            {item} is a {kind}.
            We see {item}, a {kind}.
            There is a {kind} called {item}.
            {x} has a {kind} named {item}.
            {x} says that {item} is a {kind}.
        """),
        "ask": lines("""
            Is {item} a {other}?
            Can we say that {item} is a {other}?
            Is it right that {item} is a {other}?
            Must {item} be a {other}?
            {x} asks if {item} is a {other}. Is it so?
            Tell me if {item} is a {other}.
        """),
    },
    new={
        "rule": lines("""
            One thing is sure: {every} {kind} is a {other}.
            Teachers say that {every} {kind} is a {other}.
            As a rule, {every} {kind} is a {other}.
        """),
        "fact": lines("""
            Here comes {item}, which is a {kind}.
            The {kind} of {x} has the name {item}.
            {x} looks at {item}, a {kind}.
        """),
        "ask": lines("""
            Does it follow that {item} is a {other}?
            Would {x} be right to call {item} a {other}?
            Decide if {item} is a {other}.
        """),
    },
)

CONDITION = Patterns(
    frames=("rule fact ask", "rule fact ask", "fact rule ask", "ask rule fact"),
    known={
        "rule": lines("""
            {x} goes to the {place} only when it is {state}.
            Only if it is {state}, {x} goes to the {place}.
            {x} always goes to the {place} on {state} days and never on others.
            When it is {state}, and only then, {x} goes to the {place}.
            {x} has a rule: to the {place} only when {state}.
            {x} visits the {place} only on {state} days.
        """),
        "fact": lines("""
            Today it is {now}.
            {y} finds it {now} now.
            This day is {now}.
            {y} says that it is {now} today.
            {y} wakes up, and it is {now}.
        """),
        "ask": lines("""
            Does {x} go to the {place}?
            Will {x} go to the {place}?
            Is {x} going to the {place} today?
            Can {y} meet {x} at the {place} today?
            Tell me if {x} goes to the {place}.
        """),
    },
    new={
        "rule": lines("""
            The {place} sees {x} only when it is {state}.
            Unless it is {state}, {x} never goes to the {place}, and otherwise always.
            {x} loves the {place}, but only on {state} days.
        """),
        "fact": lines("""
            {y} looks out and finds it {now}.
            The news call this day {now}.
            As it happens, it is {now}.
        """),
        "ask": lines("""
            Should {y} look for {x} at the {place}?
            Do we find {x} at the {place} today?
            Decide if {x} goes to the {place}.
        """),
    },
)

ELIMINATION = Patterns(
    frames=("tell not1 not2 ask", "tell not1 not2 ask", "ask tell not1 not2"),
    known={
        "tell": lines("""
            The {item} of {x} is in the {c1}, the {c2} or the {c3} box.
            {x} hides a {item} in the {c1}, {c2} or {c3} box.
            There is a {item} for {x} in one box: {c1}, {c2} or {c3}.
            {x} looks for the {item} in three boxes: {c1}, {c2} and {c3}.
            One of three boxes of {x} has a {item}: {c1}, {c2} or {c3}.
        """),
        "not": lines("""
            It is not the {no} one, says {y}.
            The {no} box of {x} is empty.
            {x} finds the {no} box empty.
            {y} opens the {no} box for nothing.
            {x} sees no {item} in the {no} box.
            {y} knows it is not the {no} box.
        """),
        "ask": lines("""
            Which box is it?
            Where is the {item}?
            What colour is the right box?
            Where must {x} look?
            Which box should {x} open?
        """),
    },
    new={
        "tell": lines("""
            One box, {c1}, {c2} or {c3}, holds the {item} that {x} lost.
            {y} gives {x} a riddle: a {item} in a {c1}, {c2} or {c3} box.
        """),
        "not": lines("""
            {x} is told that the {no} box is wrong.
            In the {no} box there is only air.
            Not the {no} one, says {y}.
        """),
        "ask": lines("""
            Which colour remains for {x}?
            So which box hides the {item}?
            Name the colour of the right box.
        """),
    },
)

FAMILY = Patterns(
    frames=("first second ask", "first second ask", "second first ask", "ask first second"),
    known={
        "first": lines("""
            {x} is the {parent} of {y}.
            {y} is the {child} of {x}, the {parent}.
            The {parent} of {y} is {x}.
            {y} has a {parent} named {x}.
            {x}, the {parent} of {y}, lives near the {place}.
            {y} calls {x} {parent}.
            Everybody calls {x} the {parent} of {y}.
            {y}'s {parent} is {x}.
        """),
        "second": lines("""
            {y} is the {link} of {z}.
            The {link} of {z} is {y}.
            {z} has a {link} named {y}.
            {y}, the {link} of {z}, likes the {place}.
            {z} calls {y} {link}.
            {y} is also the {link} of {z}.
        """),
        "ask": lines("""
            Who is the {relation} of {z}?
            What is the {relation} of {z} called?
            Who is {z}'s {relation}?
            Name the {relation} of {z}.
            Tell me who the {relation} of {z} is.
            {z} looks for the {relation}. Who is it?
        """),
    },
    new={
        "first": lines("""
            People know {x} to be the {parent} of {y}.
            A letter to {y} is signed: {x}, your {parent}.
            As {parent}, {x} takes care of {y}.
        """),
        "second": lines("""
            People know {y} to be the {link} of {z}.
            As {link}, {y} takes care of {z}.
            A letter to {z} is signed: {y}, your {link}.
        """),
        "ask": lines("""
            Which person is the {relation} of {z}?
            Whom does {z} call {relation}?
            Find the {relation} that {z} has.
        """),
    },
)
