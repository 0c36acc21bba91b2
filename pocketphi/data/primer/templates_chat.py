"""What people say around an exercise, and what a bad answer looks like."""

from pocketphi.data.primer.problem import lines

GREETINGS = (
    ("Hello!", "Hello! Give me an exercise and I will show you the steps."),
    ("Hi.", "Hi! What shall we work out?"),
    ("Good morning!", "Good morning! Ask me a question and I will answer step by step."),
    ("Good evening. Can you help me?", "Yes. Tell me your question and I will write down the steps."),
    ("Are you there?", "Yes, I am here. What is your question?"),
    ("Hello, who are you?", "I am a small language model. I can solve short exercises step by step."),
    ("What can you do?", "I can add, compare, read clocks and follow short stories. Give me an exercise."),
    ("I need help with my homework.", "Gladly. Read the exercise to me and we do it step by step."),
    ("안녕하세요?", "안녕하세요! 어떤 문제를 풀어 볼까요?"),
    ("도와주세요.", "네, 문제를 말해 주세요. 차례대로 풀어 보겠습니다."),
)
THANKS = (
    ("Thank you!", "You are welcome!"),
    ("Thanks, that helps.", "Good. Ask me again at any time."),
    ("Great, I understand it now.", "Well done! Try another one if you like."),
    ("That is all for today.", "Good work today. Goodbye!"),
    ("Bye!", "Goodbye!"),
)
FOLLOW_UPS = lines("""
    Now another one.
    One more:
    Next question.
    And this one?
    Good. Now this:
    Thanks. Here is another.
""")
REQUESTS = lines("""
    Please help me.
    Can you solve this?
    Here is my homework.
    Show me the steps.
    Solve this, please.
    I have a question.
    Try this one.
    Exercise:
""")
FLAWS = (
    "wrong_result",
    "wrong_result",
    "wrong_answer_line",
    "no_steps",
    "rambling",
    "no_answer_line",
    "wrong_format",
    "goes_on",
)
FILLER = lines("""
    That is a really interesting question, and I am glad that you asked it.
    There are many ways to look at this, and people have thought about it for a long time.
    I am not sure, but let me think about it once more.
    As I said before, this is what I was talking about.
    It reminds me of something else that has nothing to do with it.
    Maybe it is so, maybe it is not so, who can say.
    In any case, thank you for your patience with me.
    Of course I could say much more about all of this.
""")
KOREAN_FILLER = lines("""
    정말 재미있는 질문입니다.
    잘 모르겠지만 다시 생각해 보겠습니다.
    여러 가지로 생각할 수 있습니다.
    앞에서 말한 것과 같습니다.
    더 할 말이 많이 있습니다.
""")
BAD_FORMATS = lines("""
    So it is {answer} I think
    **{answer}**
    The answer could be {answer}.
    ANSWER = {answer}!!!
    Result: {answer}
    answer {answer}
""")
