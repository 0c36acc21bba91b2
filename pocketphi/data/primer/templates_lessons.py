"""What a lesson says around its worked examples: titles, ideas, methods, warnings, closings; by topic.

Fields: {x}, {y} people; {thing}, {things}; {a}, {b} two small numbers, {sum} their sum, {product} their product,
{big} and {small} the larger and the smaller of two.
"""

from dataclasses import dataclass

from pocketphi.data.primer.problem import lines


@dataclass(frozen=True)
class Prose:
    """The sentences of one topic."""

    titles: tuple[str, ...]
    ideas: tuple[str, ...]
    methods: tuple[str, ...]
    tips: tuple[str, ...]


PROSE = {
    "arithmetic": Prose(
        lines("""
            Adding and taking away
            Word problems step by step
            How many {things} are there?
            Sums with {things}
            From a story to a number
        """),
        lines("""
            When things come together, we add their numbers.
            When things go away, we subtract.
            {a} {things} and {b} {things} are {sum} {things} together.
            If {x} has {a} {things} and gets {b} more, then {x} has {sum}.
            If {x} has {sum} {things} and loses {b}, then {a} are left.
            Adding and subtracting undo each other: {a} + {b} = {sum}, and {sum} - {b} = {a}.
            The order does not matter when we add: {a} + {b} is the same as {b} + {a}.
            A story about {things} becomes a sum when we look for what changes.
            To find how many more one person has, take the smaller number from the larger one.
        """),
        lines("""
            First write down who has what. Then look at what happens. At last work out the number.
            With two digits, begin with the ones and then take the tens.
            If the ones make ten or more, carry one ten over to the tens.
            If there are not enough ones, borrow one ten.
            Ask yourself if the number must get larger or smaller.
            When you know the end and look for the start, undo what has happened.
            Say the sum in words before you write it: {a} and {b} make {sum}.
        """),
        lines("""
            A common mistake is to add when something was given away.
            Check the result by going back from the end to the start.
            Do not forget to name the {things} that you count.
            {x} always reads the question twice, and that helps.
        """),
    ),
    "sharing": Prose(
        lines("""
            Groups of the same size
            Multiplying {things}
            Sharing fairly
            Equal parts
        """),
        lines("""
            When every group has the same size, we multiply.
            {a} groups of {b} {things} are {product} {things}.
            To share {product} {things} among {a} people, give {b} to each.
            Multiplying is adding the same number again and again.
            Sharing equally is the opposite of multiplying: {a} x {b} = {product}, so {product} / {a} = {b}.
            Each part must have the same number, or it is not fair.
        """),
        lines("""
            Count on by the size of one group until all groups are counted.
            To share, count by the number of people until you reach the number of {things}.
            Write the chain of numbers, one for each group, and the last one is the answer.
            It helps to draw the groups as rows of dots.
        """),
        lines("""
            Do not add the number of groups to the size of a group.
            Check a share by multiplying it with the number of people.
            {x} counts each group with one finger so that none is missed.
        """),
    ),
    "money": Prose(
        lines("""
            Paying in a shop
            What does it cost?
            Prices and change
            {x} goes shopping
        """),
        lines("""
            The price of several {things} is the price of one times their number.
            If one {thing} costs {a} dollars, then {b} of them cost {product} dollars.
            The change is what you paid minus the price.
            Whoever pays {sum} dollars for something that costs {b} gets {a} dollars back.
            A dollar has a hundred cents.
            People who know the price before they buy can plan what to spend.
        """),
        lines("""
            Find the price of one, then the number of {things}, then multiply.
            To find the change, start at the sum that was paid and take the price away.
            Write dollars with every number so that you know what it means.
        """),
        lines("""
            The change is never more than the money that was paid.
            Count the change before you leave the shop, as {x} does.
            Cheap {things} can cost much when you take many.
        """),
    ),
    "units": Prose(
        lines("""
            Metres, grams and litres
            Changing units
            Large and small units
            How long, how heavy, how much
        """),
        lines("""
            One metre has 100 centimetres, and one kilometre has 1000 metres.
            One kilogram is 1000 grams, and one litre is 1000 millilitres.
            An hour has 60 minutes, and a minute has 60 seconds.
            A week has 7 days, and a year has 12 months.
            A centimetre is 10 millimetres.
            A unit tells what a number counts: {a} metres are much longer than {a} centimetres.
            We choose a unit that fits: kilometres for a road, and millimetres for an ant.
        """),
        lines("""
            From a large unit to a small one you multiply.
            From a small unit to a large one you divide.
            First say how many small units make one large unit.
            Then count the large units.
        """),
        lines("""
            The small unit always needs the larger number.
            Never add numbers that have different units.
            {x} writes the unit behind every number.
        """),
    ),
    "time": Prose(
        lines("""
            Reading the clock
            Hours and minutes
            Days of the week
            How long does it take?
        """),
        lines("""
            The short hand of a clock shows the hour and the long hand the minutes.
            After 12 the clock begins again at 1.
            There are 60 minutes in an hour, so 30 minutes are half an hour.
            The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.
            After Sunday the week begins again with Monday.
            To know how long something takes, look at the start and at the end.
        """),
        lines("""
            Add the hours first. If the result is more than 12, take 12 away.
            Add the minutes. If they make 60 or more, take 60 away and add one hour.
            From the start to the end, count the hours one by one.
            To find a later day, say the names of the days and count with your fingers.
        """),
        lines("""
            The day on which you start is not counted.
            Do not mix up minutes and hours.
            {x} draws a small clock on paper when it gets difficult.
        """),
    ),
    "ordering": Prose(
        lines("""
            More or fewer
            Who is the tallest?
            Putting things in order
            Comparing two numbers
        """),
        lines("""
            {big} is more than {small}, so {small} is fewer than {big}.
            The number with more digits is larger.
            If two numbers have the same number of digits, compare the tens first and then the ones.
            If {x} is taller than {y}, then {y} is shorter than {x}.
            When the first is older than the second and the second is older than the third, the first is the oldest.
            Words such as taller and shorter come in pairs.
        """),
        lines("""
            Write who has what, one line for each person.
            Turn every sentence round so that all of them use the same word.
            Then write the names in a row from the most to the least.
            The first of the row has the most and the last has the least.
        """),
        lines("""
            Look carefully: does the question want the most or the least?
            Not as tall means shorter.
            A person in the middle of the row is never the answer to such a question.
        """),
    ),
    "logic": Prose(
        lines("""
            Thinking clearly
            Every, no, and only
            What must be true?
            Finding it by leaving out
        """),
        lines("""
            If every one of a kind has a property, then each single one has it.
            If no one of a kind has a property, then a single one cannot have it.
            The word only tells when something does not happen.
            If there are three places and two are empty, the thing is in the third.
            A rule can be used even if we do not know what the words mean.
            Logic does not ask what is usual. It asks what must be true.
        """),
        lines("""
            Say the fact first and then the rule. Put them together and see what follows.
            Compare what the rule needs with what is the case.
            Cross out what cannot be, and look at what is left.
        """),
        lines("""
            Do not use what you know from elsewhere, only what is said.
            Read every word: no and every change everything.
            {x} likes riddles because each has one answer.
        """),
    ),
    "family": Prose(
        lines("""
            The family tree
            Grandmother, uncle and aunt
            Who is who in a family?
        """),
        lines("""
            The mother of a parent is a grandmother, and the father of a parent is a grandfather.
            The sister of a parent is an aunt, and the brother of a parent is an uncle.
            A parent is a mother or a father.
            If {x} is the mother of {y}, then {y} is a child of {x}.
            A family tree shows the parents above their children.
        """),
        lines("""
            Draw a line from each parent to the child.
            Go up one step from the child to the parent. Then look for who belongs to that parent.
            Write the two facts below each other so that the same name stands in both.
        """),
        lines("""
            The person in the middle is the parent, not the grandparent.
            The order of the sentences does not matter.
            {x} has drawn a family tree with all the names.
        """),
    ),
    "cause": Prose(
        lines("""
            What happens next?
            Cause and effect
            Why things change
        """),
        lines("""
            Every change has a cause.
            Ice and butter melt when they get warm, because heat makes solid things soft.
            Water freezes when it gets colder than zero degrees.
            A plant without water wilts, and a plant with light and water grows.
            Glass breaks when it falls on something hard.
            Iron rusts when it stays wet for a long time.
            Wet clothes dry in the sun and in the wind.
            Dry paper burns when a flame touches it.
            Light things fly away in a strong wind.
            Hot things cool down in cold air.
        """),
        lines("""
            Ask what the thing is made of. Then ask what is done to it.
            Think of what you have seen at home when the same thing happened.
            Name the cause first and then the effect.
        """),
        lines("""
            The same cause always has the same effect.
            Different things behave differently in the same heat: water boils, but paper burns.
            {x} tries it out, but never with fire.
        """),
    ),
    "science": Prose(
        lines("""
            Animals and their bodies
            Ice, water and steam
            What floats and what sinks?
            What does a magnet pull?
        """),
        lines("""
            Birds have feathers, two legs and lay eggs.
            Fish live in water, breathe with gills and are covered with scales.
            Insects have six legs and a hard shell.
            Mammals have hair, and their young are born alive and drink milk.
            Water is ice below 0 degrees and steam above 100 degrees.
            Wood and cork float because they are lighter than the same amount of water.
            Stone and iron sink because they are heavier than the same amount of water.
            A magnet pulls iron and steel. It does not pull wood, glass, paper or gold.
        """),
        lines("""
            First find out to which class an animal belongs. The class tells the rest.
            To know if something sticks to a magnet, ask if there is iron in it.
            Compare the temperature with 0 and with 100.
        """),
        lines("""
            Not everything that is heavy sinks: a wooden boat floats.
            Not every metal is pulled by a magnet.
            {x} keeps a notebook about animals and writes down what is true of each class.
        """),
    ),
    "stories": Prose(
        lines("""
            Reading with care
            Where is the {item}?
            Who has it now?
            Following a story
        """),
        lines("""
            In a story, things move from place to place and from hand to hand.
            The last move decides where a thing is.
            When {x} gives something to {y}, then {y} has it and {x} does not.
            When somebody carries a thing to another place, the thing is there.
            Not every sentence matters for the question.
        """),
        lines("""
            Follow only the thing that the question asks for.
            After each sentence say where the thing is now.
            Cross out the old place when you read of a new one.
        """),
        lines("""
            Do not mix up the one who gives and the one who takes.
            A person who walks about does not move a thing that lies somewhere else.
            {x} points at the words while reading.
        """),
    ),
    "python": Prose(
        lines("""
            Reading Python
            What does the program print?
            Small programs, step by step
        """),
        lines("""
            A program is a list of steps that the computer follows from the top to the bottom.
            A variable is a name for a value. The line x = {a} gives the name x to the number {a}.
            The word print writes a value on the screen.
            The places of a list are counted from 0, so the first item has the place 0.
            The function len counts the letters of a word or the items of a list.
            A for loop takes the items of a list one after the other.
            An if does its first part only when the test is true.
        """),
        lines("""
            Write down the value of each variable after each line.
            When a variable gets a new value, forget the old one.
            In a loop, say the sum after each turn.
        """),
        lines("""
            One equals sign stores a value. It does not ask a question.
            The sign * means times.
            {x} reads the program aloud like a recipe.
        """),
    ),
    "sequences": Prose(
        lines("""
            Number patterns
            What comes next?
            Rows of numbers
        """),
        lines("""
            In many rows of numbers each step is the same.
            Some rows grow by adding, such as {a}, {sum}.
            Some rows get smaller, because each step takes the same number away.
            In other rows each number is two times the one before.
            The step is the difference between two numbers that stand side by side.
        """),
        lines("""
            Take the first number from the second to find the step.
            Add the step to the last number.
            To fill a gap, add the step to the number before the gap.
            Check that the same step works everywhere in the row.
        """),
        lines("""
            Look first whether the numbers grow or fall.
            One step alone can mislead, so test a second one.
            {x} writes the step between the numbers.
        """),
    ),
}
