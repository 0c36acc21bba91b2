"""The sentences of money, units, time and number patterns.

Fields as in `templates_numbers`; besides {price}, {paid}: sums of money; {from}, {to}: units; {start}, {end}:
clock times; {span}: a length of time.
"""

from pocketphi.data.primer.problem import Patterns, lines

COST = Patterns(
    frames=("price tell ask", "price tell ask", "tell price ask", "ask price tell", "whole"),
    known={
        "price": lines("""
            One {thing} costs {b} dollars.
            {A_thing} costs {b} dollars.
            The price of one {thing} is {b} dollars.
            In the shop {a_thing} costs {b} dollars.
            At the market one {thing} is {b} dollars.
            {y} sells one {thing} for {b} dollars.
            Each {thing} costs {b} dollars.
            {x} sees that one {thing} costs {b} dollars.
        """),
        "tell": lines("""
            {x} buys {a} {things}.
            {x} wants {a} {things}.
            {x} takes {a} {things}.
            {x} needs {a} {things} for {y}.
            {x} pays for {a} {things}.
            {x} puts {a} {things} in the {box}.
        """),
        "ask": lines("""
            How many dollars does {x} pay?
            How much does {x} pay?
            What is the price for {x}?
            How many dollars is that?
            How much do the {things} cost?
            Find the cost in dollars.
        """),
        "whole": lines("""
            {x} buys {a} {things} for {b} dollars each. How much does {x} pay?
            How many dollars do {a} {things} cost at {b} dollars each?
            If one {thing} costs {b} dollars, what do {a} {things} cost?
        """),
    },
    new={
        "price": lines("""
            For one {thing} people ask {b} dollars.
            A single {thing} is worth {b} dollars.
            The sign says {b} dollars for each {thing}.
        """),
        "tell": lines("""
            {x} leaves with {a} {things}.
            The order of {x} is {a} {things}.
            {a} {things} go to {x}.
        """),
        "ask": lines("""
            How large is the bill of {x}?
            What amount must {x} hand over?
            Work out what {x} spends.
        """),
    },
    new_frames=("price tell ask", "tell price ask"),
)

CHANGE = Patterns(
    frames=("price pay ask", "price pay ask", "pay price ask", "whole"),
    known={
        "price": lines("""
            {x} buys {a_thing} for {b} dollars.
            {x} wants {a_thing} that costs {b} dollars.
            {A_thing} for {x} costs {b} dollars.
            {x} gets {a_thing} at the price of {b} dollars.
            The {thing} that {x} buys costs {b} dollars.
            {x} needs {b} dollars for {a_thing}.
            The price that {x} pays for {a_thing} is {b} dollars.
        """),
        "pay": lines("""
            {x} pays with {a} dollars.
            {x} gives {a} dollars to {y}.
            {x} has {a} dollars.
            {x} pays {a} dollars in coins.
            {x} hands over {a} dollars.
            {x} takes {a} dollars along.
            {y} gets {a} dollars from {x}.
        """),
        "ask": lines("""
            How much money does {x} get back?
            How many dollars does {x} get back?
            What change does {x} get?
            How many dollars are left for {x}?
            How much does {x} have after that?
            Find the change for {x}.
        """),
        "whole": lines("""
            {x} pays {a} dollars for {a_thing} that costs {b}. What is the change?
            {A_thing} costs {b} dollars. What change does {x} get from {a}?
            If {x} has {a} dollars and spends {b} dollars, how much is left?
        """),
    },
    new={
        "price": lines("""
            {x} chooses {a_thing} marked {b} dollars.
            For {a_thing} the seller asks {x} {b} dollars.
            The bill of {x} says {b} dollars.
        """),
        "pay": lines("""
            In the purse of {x} there were {a} dollars.
            {y} receives {a} dollars from {x}.
            {x} lays down {a} dollars.
        """),
        "ask": lines("""
            What sum comes back to {x}?
            How much does the seller return to {x}?
            Work out what {x} keeps.
        """),
    },
    new_frames=("price pay ask",),
)

CONVERT = Patterns(
    frames=("ask", "ask", "tell short", "tell short"),
    known={
        "ask": lines("""
            How many {to} are {a} {from}?
            How many {to} are there in {a} {from}?
            {x} has {a} {from}. How many {to} is that?
            Write {a} {from} in {to}.
            Change {a} {from} into {to}.
            What is {a} {from} in {to}?
            {x} needs {a} {from} in {to}. What is it?
            {x} asks {y}: how many {to} make {a} {from}?
            {x} changes {a} {from} into {to}. What is the result?
            Tell {x} how many {to} {a} {from} are.
            {a} {from} are how many {to}?
        """),
        "tell": lines("""
            {x} measures {a} {from}.
            {x} writes down {a} {from}.
            {x} reads {a} {from} in a book.
            The answer of {x} is {a} {from}.
            {x} says it is {a} {from}.
        """),
        "short": lines("""
            How many {to} is that?
            What is that in {to}?
            Change it into {to}.
            Write it in {to}.
            {y} asks how many {to} that is.
            Tell {x} the number of {to}.
        """),
    },
    new={
        "ask": lines("""
            Express {a} {from} for {x} in {to}.
            {x} would like {a} {from} as {to}. What comes out?
            Turn {a} {from} into {to} for {x}.
            {x} wonders what {a} {from} are in {to}.
        """),
        "tell": lines("""
            On the paper of {x} we read {a} {from}.
            {x} estimates {a} {from}.
        """),
        "short": lines("""
            Give the number of {to}.
            Which number of {to} is equal to it?
        """),
    },
)

LATER = Patterns(
    frames=("tell span ask", "tell span ask", "ask tell span", "whole"),
    known={
        "tell": lines("""
            {x} starts to read at {start}.
            {x} begins a walk at {start}.
            The class of {x} begins at {start}.
            {x} leaves home at {start}.
            {x} takes the bus at {start}.
            At {start} {x} begins to cook.
            The film of {x} starts at {start}.
        """),
        "span": lines("""
            It takes {span}.
            It lasts {span}.
            {x} needs {span}.
            {x} is ready {span} later.
            It is over after {span}.
            This goes on for {span}.
        """),
        "ask": lines("""
            What time is it then?
            When is it over?
            At what time does {x} finish?
            When does it end for {x}?
            What does the clock say then?
        """),
        "whole": lines("""
            For {x} it is {start}. What time is it {span} later?
            {x} works from {start} for {span}. When does {x} stop?
            What time is it {span} after {start}?
            The clock of {x} shows {start}. What does it show {span} later?
        """),
    },
    new={
        "tell": lines("""
            The train of {x} departs at {start}.
            {x} falls asleep at {start}.
            At {start} {x} opens the shop.
        """),
        "span": lines("""
            {span} pass.
            The whole thing takes {x} {span}.
            After {span} {x} is done.
        """),
        "ask": lines("""
            Which time does the watch of {x} show now?
            Say when {x} is through.
            How late is it at that moment?
        """),
    },
    new_frames=("tell span ask",),
)

DURATION = Patterns(
    frames=("tell until ask", "tell until ask", "ask tell until", "whole"),
    known={
        "tell": lines("""
            {x} starts to read at {start}.
            {x} begins a walk at {start}.
            The class of {x} begins at {start}.
            {x} leaves home at {start}.
            {x} sits down at {start}.
            At {start} {x} begins to cook.
            {x} takes the bus at {start}.
            The film of {x} starts at {start}.
        """),
        "until": lines("""
            {x} stops at {end}.
            It ends at {end}.
            {x} is ready at {end}.
            It is over at {end}.
            At {end} {x} gets up.
            {x} is done at {end}.
            {x} is back at {end}.
            It lasts until {end}.
        """),
        "ask": lines("""
            How many hours does it take?
            How long is that in hours?
            How many hours is that?
            How many hours does {x} need?
            For how many hours is {x} busy?
        """),
        "whole": lines("""
            How many hours are there from {start} to {end}?
            {x} works from {start} until {end}. How many hours is that?
            {x} sleeps from {start} to {end}. For how many hours?
        """),
    },
    new={
        "tell": lines("""
            The train of {x} departs at {start}.
            {x} opens the shop at {start}.
            At {start} {x} goes on stage.
        """),
        "until": lines("""
            The end comes at {end}.
            {x} closes the door at {end}.
            It is {end} when {x} gets home.
        """),
        "ask": lines("""
            What is the length in hours?
            Count the hours that {x} spent.
            How many hours went by for {x}?
        """),
    },
    new_frames=("tell until ask",),
)

WEEKDAY = Patterns(
    frames=("tell ask", "tell ask", "ask tell", "whole"),
    known={
        "tell": lines("""
            Today is {day}.
            It is {day} today.
            {x} writes a letter on {day}.
            {x} visits {y} on {day}.
            {x} plants a tree on {day}.
            On {day} work begins for {x}.
            {x} comes home on {day}.
            {x} and {y} meet on {day}.
        """),
        "ask": lines("""
            Which day is it {a} days later?
            What day comes {a} days after that?
            {x} waits {a} days. Which day is it then?
            {a} days later {x} is back. Which day?
            What day is it for {x} after {a} days?
        """),
        "whole": lines("""
            For {x} today is {day}. What day comes in {a} days?
            Which day comes {a} days after {day}?
            What day is {a} days after {day}?
            {x} leaves on {day} and is away for {a} days. On which day is {x} back?
            It is {day}. {x} has a birthday in {a} days. Which day is that?
        """),
    },
    new={
        "tell": lines("""
            The calendar of {x} shows {day}.
            {x} arrives on a {day}.
            {x} borrows a book on {day}.
        """),
        "ask": lines("""
            Name the day that follows {a} days later.
            {a} days go by for {x}. What day is reached?
            {x} returns after {a} days. Which weekday is it?
        """),
    },
    new_frames=("tell ask",),
)

SEQUENCE = Patterns(
    frames=("ask",),
    known={
        "ask": lines("""
            What number comes next: {list}?
            Which number comes after these: {list}?
            {x} writes {list}. What number does {x} write next?
            Find the next number: {list}.
            {list}. What comes next?
            The row is {list}. What is the next number?
            {x} counts {list}. Which number comes next?
            Look at the row {list}. Which number follows?
            Go on with {list}. What is the next number?
            {x} says {list}. What does {x} say next?
            Here is a pattern: {list}. Tell me the next number.
            {x} and {y} count together: {list}. What comes next?
            Say the number that follows {list}.
            The numbers {list} make a pattern. Which is next?
            On the paper of {x} there is {list}. What comes next?
            A game goes {list}. Which number is next?
        """),
    },
    new={
        "ask": lines("""
            Continue for {x}: {list}.
            {x} has begun a series with {list}. How does it go on?
            Give one more number for {list}.
            In the notebook of {x} stands {list}. Add the following number.
            {list} is what {y} tells {x}. Guess the following number.
        """),
    },
)

MISSING = Patterns(
    frames=("ask",),
    known={
        "ask": lines("""
            What number is missing: {list}?
            Which number is missing in {list}?
            {x} writes {list}. What number is missing?
            Find the missing number: {list}.
            One number is missing: {list}. Which one?
            {list}. Which number belongs in the gap?
            Fill the gap: {list}.
            {x} forgets one number: {list}. Which one?
            What belongs in the gap of {list}?
            The row {list} has a gap. What number fits?
            {x} and {y} see {list}. What number is gone?
            Look at {list}. Which number is not there?
            In the row {list} one number is gone. Which?
            {x} hides one number: {list}. Which one is it?
            Put the right number in the gap: {list}.
        """),
    },
    new={
        "ask": lines("""
            {x} has wiped out one number of {list}. Restore it.
            Which number did {x} skip in {list}?
            Complete {list} for {x}.
            A hole is in the series {list} of {x}. What goes there?
        """),
    },
)
