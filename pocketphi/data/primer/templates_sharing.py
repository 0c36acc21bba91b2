"""The sentences of groups of one size: multiplying and sharing equally.

Fields as in `templates_numbers`; besides {boxes}: more than one {box}.
"""

from pocketphi.data.primer.problem import Patterns, lines

MULTIPLY = Patterns(
    frames=("tell each ask", "tell each ask", "ask tell each", "whole"),
    known={
        "tell": lines("""
            {x} has {a} {boxes}.
            {x} buys {a} {boxes}.
            There are {a} {boxes} in the room of {x}.
            {x} fills {a} {boxes}.
            {x} carries {a} {boxes}.
            {x} sees {a} {boxes}.
            {x} opens {a} {boxes}.
            {x} puts {a} {boxes} in a row.
            {y} gives {x} {a} {boxes}.
        """),
        "each": lines("""
            Each {box} has {b} {things} in it.
            In each {box} there are {b} {things}.
            Every {box} holds {b} {things}.
            There are {b} {things} in every {box}.
            Each {box} holds {b} {things}.
            {x} puts {b} {things} in each {box}.
            In every {box} {x} finds {b} {things}.
            Each {box} is full with {b} {things}.
            One {box} has {b} {things}.
        """),
        "ask": lines("""
            How many {things} are there in all?
            How many {things} does {x} have?
            How many {things} is that altogether?
            Find the number of {things}.
            What is the number of all {things}?
            Tell me how many {things} {x} has.
        """),
        "whole": lines("""
            {x} has {a} {boxes} with {b} {things} each. How many {things} are there?
            How many {things} are in {a} {boxes} with {b} {things} each?
            If one {box} holds {b} {things}, how many do {a} {boxes} hold?
        """),
    },
    new={
        "tell": lines("""
            {a} {boxes} stand beside {x}.
            {x} orders {a} full {boxes}.
            On the shelf {x} has lined up {a} {boxes}.
        """),
        "each": lines("""
            A single {box} contains {b} {things}.
            The maker packs {b} {things} into one {box}.
            All of them are filled with {b} {things}.
        """),
        "ask": lines("""
            What is the total of the {things}?
            How many {things} can {x} take out?
            Work out how many {things} {x} gets.
        """),
    },
    new_frames=("tell each ask", "ask tell each"),
)

SHARE = Patterns(
    frames=("tell split ask", "tell split ask", "ask tell split", "whole"),
    known={
        "tell": lines("""
            {x} has {a} {things}.
            {x} brings {a} {things}.
            There are {a} {things} in the {box} of {x}.
            {x} brings home {a} {things}.
            {x} collects {a} {things}.
            {x} takes {a} {things} from the {box}.
            {y} gives {x} {a} {things}.
            {x} finds {a} {things}.
            {x} starts with {a} {things}.
        """),
        "split": lines("""
            {x} shares them equally among {b} friends.
            {b} children share them equally.
            {x} puts them in {b} equal groups.
            {x} makes {b} equal piles.
            They are split into {b} equal parts.
            {x} gives the same number to {b} people.
            {x} and some friends, {b} in all, share them equally.
            {x} puts the same number in {b} boxes.
            {b} friends of {x} get the same number each.
        """),
        "ask": lines("""
            How many {things} are in one part?
            How many {things} does each one get?
            How many {things} is one share?
            What is one share?
            How many {things} go to each?
        """),
        "whole": lines("""
            {x} shares {a} {things} equally among {b} friends. What does each get?
            How many {things} does each of {b} children get from {a} {things}?
            If {b} people share {a} {things} equally, how many does one get?
        """),
    },
    new={
        "tell": lines("""
            {a} {things} belong to {x}.
            {x} unpacks {a} {things}.
            A bag that {x} opens contains {a} {things}.
        """),
        "split": lines("""
            {b} neighbours divide them fairly.
            {x} deals them out evenly to {b} players.
            They must fill {b} shelves evenly.
        """),
        "ask": lines("""
            What is the portion of one?
            How many {things} land in each place?
            Work out how many {things} one receives.
        """),
    },
    new_frames=("tell split ask", "ask tell split"),
)
