"""What a lesson says between its ideas and its examples, whatever the topic; and lessons in Korean.

Fields: {x}, {y}.
"""

from pocketphi.data.primer.problem import lines
from pocketphi.data.primer.templates_lessons import Prose

OPENINGS = lines("""
    In this lesson we look at a few examples.
    Here is how it works.
    Let us begin with the idea and then go through some examples.
    {x} explains it to {y} in this way.
    This is something that everybody can learn.
    We go slowly and write down every step.
    The teacher of {x} begins like this.
    Today the class of {x} learns something useful.
    You need only a pencil and some paper.
    Many children find this hard at first, but it gets easy with practice.
""")
BRIDGES = lines("""
    Here is an example.
    Now look at this one.
    Let us try it.
    Another example makes it clear.
    See how the steps follow each other.
    Now it is your turn to think before you read on.
    The next one is a little different.
    Read it and cover the answer with your hand.
    We can do the same with other numbers and names.
    {x} had to solve this one in class.
""")
CLOSINGS = lines("""
    If you can explain each step to a friend, you have understood it.
    Make up a problem of your own and solve it in the same way.
    Come back tomorrow and try the examples again without looking.
    The steps are always the same, only the names and numbers change.
    That is all you need to know to solve such problems.
    With a little practice you will do this in your head.
    {x} and {y} now solve such problems every day.
    Keep your notes, because the next lesson builds on this one.
""")
KOREAN = Prose(
    ("더하기와 빼기", "이야기 문제 풀기", "물건은 어디에 있을까요?", "하나씩 세어 보기", "쉬운 셈하기"),
    lines("""
        물건이 더 생기면 더하기를 합니다.
        물건이 없어지면 빼기를 합니다.
        두 수를 더하는 문제는 차례대로 세면 풀 수 있습니다.
        이야기 속의 수를 잘 보면 답을 찾을 수 있습니다.
        물건을 옮기면 마지막에 옮긴 곳에 물건이 있습니다.
        세는 말은 물건에 따라 다릅니다. 책은 권으로 세고 종이는 장으로 셉니다.
        연필은 자루로 세고 꽃은 송이로 셉니다.
    """),
    lines("""
        먼저 문제를 천천히 읽습니다. 그다음 처음에 몇 개가 있었는지 적습니다.
        무엇이 늘어나고 무엇이 줄어드는지 생각합니다.
        마지막으로 식을 쓰고 답을 구합니다.
        손가락이나 구슬로 세어 보아도 좋습니다.
        이야기에서 물건이 어디로 가는지 하나씩 따라갑니다.
    """),
    lines("""
        더해야 하는지 빼야 하는지 꼭 확인합니다.
        답을 구한 다음에는 다시 한번 읽어 봅니다.
        친구에게 설명해 보면 더 잘 알 수 있습니다.
        틀려도 괜찮습니다. 다시 해 보면 됩니다.
    """),
)
KOREAN_BRIDGES = lines("""
    예를 들어 봅시다.
    다음 문제를 읽어 보세요.
    이번에는 조금 다른 문제입니다.
    함께 풀어 봅시다.
    스스로 먼저 생각해 보세요.
""")
KOREAN_CLOSINGS = lines("""
    이제 비슷한 문제를 만들어서 풀어 보세요.
    매일 조금씩 연습하면 셈이 쉬워집니다.
    다음 시간에는 더 큰 수로 공부합니다.
""")
