"""Lessons in Korean: adding, taking away, and where something is.

Korean marks what a noun does in its sentence by a particle whose form depends on how the noun ends: 사과를 but
책을, 민수는 but 지훈은, 학교로 but 시장으로 (and 교실로: a final ㄹ counts as open here). A Hangul syllable is a
code point whose offset from 가 modulo 28 is its final consonant, 0 for none and 8 for ㄹ, so the form can be
computed. Patterns write the pair: `{x:은}` gives 은 or 는.
"""

from pocketphi.data.primer.problem import Patterns, Problem, Scene, Skill, easy, lines, slip
from pocketphi.data.primer.world import is_heldout, words

# after a closed syllable, after an open one
_PARTICLES = {
    "은": ("은", "는"),
    "이": ("이", "가"),
    "을": ("을", "를"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
}


class Noun(str):
    """A Korean noun that takes particles: `f"{Noun('책'):을}"` is 책을."""

    __slots__ = ()

    def __format__(self, particle: str) -> str:
        if not particle:
            return str(self)
        closed, opened = _PARTICLES[particle]
        final = (ord(self[-1]) - 0xAC00) % 28
        return str(self) + (opened if final == 0 or (final == 8 and particle == "으로") else closed)


_FIRST = words("민 지 서 하 도 예 윤 주 은 현 유 재 태 소 시 다 가 나 보 수")
_SECOND = words("수 훈 연 준 윤 우 호 아 영 진 민 빈 원 솔 람 경 희 나 린 혁 결 찬")
_WORDS_NOT_NAMES = frozenset(
    words("가나 나수 보수 보호 주민 시민 소원 시원 지원 은빈 수수 나나 다연 다진 태연 현수 유연 주연")
)
_ALL_NAMES = tuple(
    first + second
    for first in _FIRST
    for second in _SECOND
    if first != second and first + second not in _WORDS_NOT_NAMES
)
NAMES = tuple(Noun(name) for name in _ALL_NAMES if not is_heldout("name", name))
HELDOUT_NAMES = tuple(Noun(name) for name in _ALL_NAMES if is_heldout("name", name))
# thing, its counter
THINGS = tuple(
    (Noun(pair.split()[0]), Noun(pair.split()[1]))
    for pair in words(
        "사과 개,배 개,귤 개,감 개,공 개,빵 개,달걀 개,사탕 개,구슬 개,단추 개,돌 개,컵 개,책 권,공책 권,동화책 권,"
        "연필 자루,색연필 자루,종이 장,우표 장,사진 장,카드 장,꽃 송이,장미 송이,양말 켤레,장갑 켤레",
        ",",
    )
)
ITEMS = tuple(Noun(word) for word in words("공 책 열쇠 모자 가방 우산 안경 시계 인형 연필 지도 컵 거울 사진 편지"))
PLACES = tuple(
    Noun(word) for word in words("부엌 교실 방 거실 정원 시장 공원 도서관 학교 마당 가게 창고 식당 병원 극장")
)

ADD = Patterns(
    frames=("tell event ask", "tell event ask", "whole"),
    known={
        "tell": lines("""
            {x:은} {thing:을} {a}{unit} 가지고 있습니다.
            {x:이} {thing} {a}{unit:을} 샀습니다.
            {x}에게 {thing:이} {a}{unit} 있습니다.
            {x}의 바구니에 {thing:이} {a}{unit} 들어 있습니다.
            {x:은} 아침에 {thing} {a}{unit:을} 모았습니다.
            {x:은} {thing} {a}{unit:을} 상자에 넣었습니다.
        """),
        "event": lines("""
            {y:이} {b}{unit:을} 더 주었습니다.
            {x:은} {b}{unit:을} 더 받았습니다.
            그리고 {b}{unit:을} 더 샀습니다.
            나중에 {x:이} {b}{unit:을} 더 찾았습니다.
            {y:은} {x}에게 {b}{unit:을} 더 가져다주었습니다.
        """),
        "ask": lines("""
            {thing:은} 모두 몇 {unit}입니까?
            {x:은} {thing:을} 모두 몇 {unit} 가지고 있습니까?
            이제 {thing:이} 몇 {unit} 있습니까?
            {x}의 {thing:은} 모두 몇 {unit}일까요?
        """),
        "whole": lines("""
            {x:은} {thing} {a}{unit:을}, {y:은} {b}{unit:을} 가지고 있습니다. 모두 몇 {unit}입니까?
            {x:과} {y:이} {thing:을} {a}{unit:과} {b}{unit} 모았습니다. 모두 몇 {unit}입니까?
        """),
    },
    new={
        "tell": lines("""
            어제 {x:이} {thing} {a}{unit:을} 얻었습니다.
            {x}의 책상 위에는 {thing:이} {a}{unit} 놓여 있습니다.
        """),
        "event": lines("""
            오늘 {b}{unit:이} 더 생겼습니다.
            {y:이} 선물로 {b}{unit:을} 보탰습니다.
        """),
        "ask": lines("""
            합하면 {thing:은} 몇 {unit:이} 됩니까?
            {x:이} 가진 {thing:을} 전부 세면 몇 {unit}입니까?
        """),
    },
    new_frames=("tell event ask",),
)
SUBTRACT = Patterns(
    frames=("tell event ask", "tell event ask", "whole"),
    known={
        "tell": ADD.known["tell"],
        "event": lines("""
            {x:은} {y}에게 {b}{unit:을} 주었습니다.
            그런데 {b}{unit:을} 잃어버렸습니다.
            {y:이} {b}{unit:을} 가져갔습니다.
            {x:은} 그중에서 {b}{unit:을} 팔았습니다.
            나중에 {x:은} {b}{unit:을} 썼습니다.
        """),
        "ask": lines("""
            남은 {thing:은} 몇 {unit}입니까?
            {thing:은} 몇 {unit} 남았습니까?
            {x}에게 {thing:이} 몇 {unit} 남았습니까?
            이제 {x:은} {thing:을} 몇 {unit} 가지고 있습니까?
        """),
        "whole": lines("""
            {x:은} {thing} {a}{unit} 중에서 {b}{unit:을} {y}에게 주었습니다. 몇 {unit:이} 남았습니까?
            {thing} {a}{unit}에서 {x:이} {b}{unit:을} 빼면 몇 {unit:이} 남습니까?
        """),
    },
    new={
        "tell": ADD.new["tell"],
        "event": lines("""
            오늘 {x:은} {b}{unit:을} 나누어 주었습니다.
            {y:이} 그 가운데 {b}{unit:을} 빌려 갔습니다.
        """),
        "ask": lines("""
            {x:이} 아직 가지고 있는 {thing:은} 몇 {unit}일까요?
            나머지 {thing:은} 몇 {unit}입니까?
        """),
    },
    new_frames=("tell event ask",),
)
WHERE = Patterns(
    frames=("put move ask", "put move ask", "put move1 move2 ask"),
    known={
        "put": lines("""
            {x:이} {item:을} {from}에 두었습니다.
            {x:은} {item:을} {from}에 놓았습니다.
            {x}의 {item:은} {from}에 있습니다.
            처음에 {item:은} {from}에 있었습니다.
            아침에 {x:은} {item:을} {from}에 두었습니다.
        """),
        "move": lines("""
            {x:이} {item:을} {to:으로} 옮겼습니다.
            그다음 {x:은} {item:을} {to:으로} 가져갔습니다.
            {x:은} {item:을} 들고 {to:으로} 갔습니다.
            나중에 {x:이} {item:을} {to}에 두었습니다.
            {x:은} {item:을} {to:으로} 가지고 갔습니다.
        """),
        "ask": lines("""
            {item:은} 어디에 있습니까?
            지금 {item:은} 어디에 있습니까?
            {item:을} 어디에서 찾을 수 있습니까?
            {x}의 {item:은} 지금 어디에 있을까요?
            {item:이} 있는 곳은 어디입니까?
        """),
    },
    new={
        "put": lines("""
            {x:은} {from}에서 {item:을} 보았습니다.
            어제 {x:이} {item:을} {from}에 두고 왔습니다.
        """),
        "move": lines("""
            오늘 {x:은} {item:을} {to:으로} 보냈습니다.
            {x:이} 다시 {item:을} {to}에 가져다 놓았습니다.
        """),
        "ask": lines("""
            마지막에 {item:은} 어디에 있습니까?
            {item:을} 가지러 가려면 어디로 가야 합니까?
        """),
    },
)


def _names(scene: Scene) -> list[Noun]:
    return scene.several(HELDOUT_NAMES if scene.heldout else NAMES, 2)


def _add(scene: Scene) -> Problem:
    a, b = scene.numbers("add", lambda: easy(scene, limit=40))
    x, y = _names(scene)
    thing, unit = scene.pick(THINGS)
    fields = {"x": x, "y": y, "a": a, "b": b, "thing": thing, "unit": unit}
    question, template = scene.write("korean_add", ADD, scene.frame(ADD), fields)
    steps = f"{thing:이} {a}{unit} 있습니다. {b}{unit:이} 더 있습니다. {a} + {b} = {a + b}."
    return Problem("korean", "korean_add", question, steps, str(a + b), slip(scene, a + b), template, ("add", (a, b)))


def _subtract(scene: Scene) -> Problem:
    def draw() -> tuple[int, int]:
        rest, b = easy(scene, limit=40)
        return rest + b, b

    a, b = scene.numbers("subtract", draw, ordered=True)
    x, y = _names(scene)
    thing, unit = scene.pick(THINGS)
    fields = {"x": x, "y": y, "a": a, "b": b, "thing": thing, "unit": unit}
    question, template = scene.write("korean_subtract", SUBTRACT, scene.frame(SUBTRACT), fields)
    steps = f"{thing:이} {a}{unit} 있습니다. {b}{unit:이} 없어집니다. {a} - {b} = {a - b}."
    wrong = slip(scene, a - b)
    return Problem("korean", "korean_subtract", question, steps, str(a - b), wrong, template, ("subtract", (a, b)))


def _where(scene: Scene) -> Problem:
    x = _names(scene)[0]
    item = scene.pick(ITEMS)
    frame = scene.frame(WHERE)
    walk = scene.several(PLACES, frame.count("move") + 1)
    fields = {"x": x, "item": item, "from": walk[0], "to": walk[1]}
    question, template = scene.write("korean_where", WHERE, frame, fields, {"move2": {**fields, "to": walk[-1]}})
    stations = " ".join(f"그다음 {item:은} {place}에 있습니다." for place in walk[1:])
    steps = f"처음에 {item:은} {walk[0]}에 있습니다. {stations}"
    return Problem("korean", "korean_where", question, steps, str(walk[-1]), str(walk[-2]), template)


SKILLS = (
    Skill("korean_add", "korean", _add, ADD, 2),
    Skill("korean_subtract", "korean", _subtract, SUBTRACT, 2),
    Skill("korean_where", "korean", _where, WHERE, 2),
)
