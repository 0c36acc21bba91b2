"""What good pages say besides their lessons."""

from pocketphi.data.primer.problem import lines

WORKSHEET_TITLES = lines("""
    Worksheet for {x}
    Exercises to print
    Practice with {things}
    A page of problems
    Homework for the weekend
""")
WORKSHEET_INTROS = lines("""
    Work through these problems with a pencil and take your time.
    The solutions with all the steps stand below, so cover them first.
    Each problem has exactly one answer.
    {x} and {y} have solved all of them in one afternoon.
    Write down who has what before you begin to work it out.
    These exercises are for children who know the numbers up to a hundred.
""")
ARTICLE_OPENINGS = lines("""
    The {animal} is a {kind}.
    {An} {animal} belongs to the {kinds}, like {others}.
    Many people know the {animal} from the books of their childhood.
    Like all {kinds}, the {animal} has some things in common with {others}.
    The {animal} has been drawn and described by people for a very long time.
    Whoever wants to see {an} {animal} needs patience and a quiet place.
    In school the {animal} is often the first example of a {kind}.
    To tell {an} {animal} from other {kinds}, look at its size, its colour and the way it moves.
""")
ARTICLE_BODY = {
    "bird": lines("""
        Its body is covered with feathers that keep it warm and dry.
        Like every bird it has two legs and two wings.
        Its bones are light, because many of them are hollow.
        A bird has no teeth, so it swallows its food or breaks it with the beak.
        The young come out of eggs that the parents keep warm.
        It breathes with lungs and has warm blood.
        The shape of the beak tells what a bird eats.
        Old feathers fall out once a year and new ones grow.
    """),
    "fish": lines("""
        It lives in water and breathes with gills.
        Its body is covered with scales that lie on each other like the tiles of a roof.
        A fish has no legs. It swims with its tail and steers with its fins.
        The blood of most fish is as warm or as cold as the water around them.
        Most fish lay very many eggs, and few of the young grow up.
        Out of the water a fish cannot breathe for long.
        The eyes of a fish have no lids, so it cannot close them.
        It feels the movement of the water with a line along its side.
    """),
    "insect": lines("""
        Like every insect it has six legs.
        Its body has three parts: the head, the chest and the rear part.
        A hard shell covers the body and protects it.
        Insects have no bones, since the shell carries the weight.
        It takes in air through small holes in the sides of its body.
        Two feelers on the head help it to smell and to touch.
        Insects lay eggs, and the young often look quite different from the parents.
        Many insects carry pollen from flower to flower and so help plants to make seeds.
    """),
    "mammal": lines("""
        Its body is covered with hair that keeps it warm.
        The young are born alive and drink the milk of the mother.
        It breathes with lungs and has warm blood.
        Like most mammals on land it walks on four legs.
        The teeth of a mammal show if it eats plants or meat.
        A mammal needs much food, because keeping warm takes energy.
        Mammals care for their young longer than most other animals do.
        Its ears stand outside the head and help it to find where a sound comes from.
    """),
}
ARTICLE_CLOSINGS = lines("""
    From the class of an animal many other facts follow, as these questions show.
    {x} has written a report about the {animal} and asks the class some questions.
    A good way to remember such facts is to answer questions about them.
    The following questions can be answered with what every article about {kinds} says.
    Compare your answers with those of a friend.
    Some of the questions are about other things in nature.
""")
HOWTO_TITLES = lines("""
    How to learn about {task}
    A simple way to understand {task}
    {task}: a guide for beginners
    How do I solve problems about {task}?
    Everything you need for {task}
""")
HOWTO_INTROS = lines("""
    This guide shows a way that always works.
    You need no special knowledge, only some patience.
    {x} learned it in one afternoon, and so can you.
    Read the steps once, then follow them with the examples below.
    Many people give up too early because they skip the first step.
    If you get stuck, go back to the example before.
""")
QA_TITLES = lines("""
    Question about {task}
    Can somebody help me with {task}?
    Help needed: {task}
    I do not understand {task}
    Your questions about {task}
""")
QA_ASK = lines("""
    {x} asks: my teacher gave us this problem and I do not know how to begin.
    {x} wrote: can somebody show me the steps, please?
    {x} would like to know how this one is solved.
    This question was sent in by {x}, who is stuck with the homework.
    {x} asks: I always get a different result. What is right?
    The next problem comes from {x} and was asked many times before.
""")
QA_ANSWER = lines("""
    {y} explains: go slowly and write down each step, as above.
    {y} answered: you nearly had it. Look again at what is given.
    This was solved by {y}, and others agreed with the answer.
    {y} adds: it helps to say it aloud.
    {y} wrote: the same steps work for all problems of this kind.
    {y} says: begin with what you know, and the rest follows.
""")
QA_THANKS = lines("""
    {x} wrote: thank you, now I understand it.
    {x} says: that was much easier than I thought.
    {x} added: I tried it with other numbers and it worked.
    {y} replied: you are welcome, and good luck with the next one.
""")
STORY_TITLES = lines("""
    {x} and the {item}
    The {item} in the {from}
    A day with {x} and {y}
    Where is the {item}?
    What {x} did that day
""")
STORY_OPENINGS = lines("""
    {x} and {y} live in the same street.
    It was a quiet morning, and the sun had just come up.
    {x} had slept well and was in a good mood.
    {y} came over early, because there was much to do.
    In the family of {x} everybody had a task that day.
    {y} liked to ask questions, and {x} liked to answer them.
    Nobody knew yet what would happen that day.
    The {item} was an old present, and {x} took good care of it.
""")
STORY_MIDDLES = lines("""
    Meanwhile {y} was busy with something else and did not see it.
    {x} thought for a while and then went on.
    It was getting late, and both of them became hungry.
    Then they had some bread and talked about the weather.
    {y} asked what {x} was doing, but there was no time to explain.
    Somebody knocked at the door, but it was only the wind.
    {w} came by, said hello and went home again.
    After a short rest they felt much better.
""")
STORY_ENDS = lines("""
    In the evening {y} wanted to see the {item} and began to look for it.
    {x} smiled, because {x} still knew where it was.
    Whoever has read with care can help them.
    They went to bed tired and content.
    Later they told {w} about it and laughed.
    That night it rained, but nobody minded.
    So the day came to a good end.
""")
STORY_QUESTIONS = lines("""
    Where was the {item} of {x} in the end?
    In which place did {y} find the {item}?
    Where should {y} look for the {item} that evening?
    Can you tell {y} where {x} left the {item}?
""")
TASKS = {
    "arithmetic": ("adding and taking away", "word problems", "sums and differences"),
    "sharing": ("multiplying", "sharing equally", "groups of the same size"),
    "money": ("prices and change", "paying in a shop", "money"),
    "units": ("changing units", "metres and grams", "units of measure"),
    "time": ("the clock", "hours and minutes", "the days of the week"),
    "ordering": ("putting people in order", "comparing numbers", "more and fewer"),
    "logic": ("logic", "rules and facts", "finding out by leaving out"),
    "family": ("family trees", "grandparents, aunts and uncles", "relatives"),
    "cause": ("cause and effect", "what happens next", "why things change"),
    "science": ("animals and materials", "simple science", "ice, water and steam"),
    "stories": ("following a story", "who has it", "finding things in stories"),
    "python": ("reading Python", "small programs", "the output of a program"),
    "sequences": ("number patterns", "rows of numbers", "finding the next number"),
}
PUPIL = lines("""
    I think I understand. Can we try an example?
    That sounds easy. Is it always so?
    Please show me how that works.
    And how do I begin?
    I have heard of it but never tried it.
""")
TEACHER = lines("""
    That is right. You have explained each step.
    Well done. Let us take a harder one.
    Correct, and nicely written.
    Good. I like that you named everything first.
    Yes, exactly. Now the next.
    Very good, that was quick.
""")
NOTES_TITLES = lines("""
    What the class of {x} learned this week
    The school diary of {x}
    Notes from a week at school
    {x} remembers the week
""")
NOTES_INTROS = lines("""
    Every week somebody of the class writes down what was new.
    This week was full of things that I want to remember.
    Our teacher says that writing is the best way to learn.
    Parents can read here what we have done.
    I have copied one problem of each day with its solution.
    Whoever was ill can use these notes to catch up.
""")
NOTES_DAYS = lines("""
    Today {x} came to the board and explained something important.
    We began the day with a short repetition.
    It rained, so we stayed inside and had more time for this.
    After the break the teacher showed us a new idea.
    I did not get it at first, but then {x} helped me.
    This was my favourite lesson of the week.
""")
