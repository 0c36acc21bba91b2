r"""The value of a LaTeX expression at a point, to tell whether two are the same.

Read are numbers, letters (each an unknown, but `i`), `\pi`, `+ - * / ^ !`, `\cdot`, `\times`, `\div`, `\frac`, `\sqrt`,
functions of one argument, brackets, mixed numbers, and products without a sign. Rational numbers stay exact. What is
anything else, or grows out of bounds, is not read: an expression comes from a model and may be hostile.
"""

import cmath
import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

Number = Fraction | complex

_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|\\[A-Za-z]+|\\[{}]|[A-Za-z]|[-+*/^(){}\[\]!_|])")
_POINTS = (Fraction(3, 7), Fraction(5, 2), Fraction(11, 13))
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    r"\sin": cmath.sin,
    r"\cos": cmath.cos,
    r"\tan": cmath.tan,
    r"\cot": lambda x: 1 / cmath.tan(x),
    r"\sec": lambda x: 1 / cmath.cos(x),
    r"\csc": lambda x: 1 / cmath.sin(x),
    r"\arcsin": cmath.asin,
    r"\arccos": cmath.acos,
    r"\arctan": cmath.atan,
    r"\ln": cmath.log,
    r"\log": cmath.log10,
    r"\exp": cmath.exp,
}
_MAX_BITS = 20_000
_MAX_DEPTH = 40
_MAX_FACTORIAL = 200
_NEAR = 1e-9


class _UnreadableError(Exception):
    """Not an expression of the kind that is read."""


def agree(first: str, second: str) -> bool:
    """Whether two expressions have the same value wherever they are evaluated; False if one cannot be read."""
    try:
        return all(_near(evaluate(first, point), evaluate(second, point)) for point in _POINTS)
    except (_UnreadableError, ArithmeticError, ValueError, RecursionError):
        return False


def evaluate(text: str, point: Fraction) -> Number:
    """The value where each letter stands for its own number made from `point`."""
    reader = _Reader(_tokens(text), point)
    value = reader.sum()
    if reader.peek():
        raise _UnreadableError(text)
    return value


def _near(first: Number, second: Number) -> bool:
    if isinstance(first, Fraction) and isinstance(second, Fraction):
        return first == second
    one, other = complex(first), complex(second)
    return cmath.isfinite(one) and cmath.isclose(one, other, rel_tol=_NEAR, abs_tol=1e-12)


def _tokens(text: str) -> list[str]:
    found, position, text = [], 0, text.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _UnreadableError(text)
        found.append(token[1])
        position = token.end()
    return found


class _Reader:
    """Reads tokens from left to right, a method for each level of binding."""

    def __init__(self, tokens: Sequence[str], point: Fraction) -> None:
        self._tokens = tokens
        self._next = 0
        self._point = point
        self._depth = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def sum(self) -> Number:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _UnreadableError("too deep")
        value = self._product()
        while self.peek() in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
            value = _bounded(value + sign * self._product())
        self._depth -= 1
        return value

    def _product(self) -> Number:
        value = self._power(signed=True)
        while True:
            sign = self.peek()
            if sign in ("*", r"\cdot", r"\times"):
                self._take()
                value = _bounded(value * self._power(signed=True))
            elif sign in ("/", r"\div"):
                self._take()
                value = _divided(value, self._power(signed=True))
            elif sign and sign not in (*"+-)]}|!_", r"\}") and not sign[0].isdigit():
                value = _bounded(value * self._power())
            else:
                return value

    def _power(self, *, signed: bool = False) -> Number:
        if signed and self.peek() in ("+", "-"):
            return (-1 if self._take() == "-" else 1) * self._power()
        is_number = self.peek()[:1].isdigit()
        value = self._atom()
        if is_number and self.peek() == r"\frac":  # 6 1/5 is a sum, not a product
            return value + self._atom()
        while self.peek() == "!":
            self._take()
            value = _factorial(value)
        if self.peek() == "^":
            self._take()
            return _raised(value, self._argument())
        return value

    def _argument(self) -> Number:
        r"""What belongs to `^`, `\frac` or `\sqrt`: braces, a sign and an atom, or one digit of a number."""
        mark = self.peek()
        if mark == "-":
            self._take()
            return -self._argument()
        if mark.isdigit() and len(mark) > 1:
            self._tokens = [*self._tokens[: self._next], *mark, *self._tokens[self._next + 1 :]]
        return self._atom()

    def _atom(self) -> Number:
        mark = self._take()
        if mark[0].isdigit() or mark[0] == ".":
            return Fraction(mark if mark[0] != "." else f"0{mark}")
        if mark in ("(", "{", "["):
            value = self.sum()
            self._expect({"(": ")", "{": "}", "[": "]"}[mark])
            return value
        if mark == "|":
            value = self.sum()
            self._expect("|")
            return abs(value) if isinstance(value, Fraction) else complex(abs(value))
        if mark == r"\frac":
            return _divided(self._argument(), self._argument())
        if mark == r"\sqrt":
            return self._root()
        if mark in _FUNCTIONS:
            return self._function(_FUNCTIONS[mark])
        if mark == r"\pi":
            return complex(math.pi)
        if mark == "i":
            return 1j
        if len(mark) == 1 and mark.isalpha():
            return self._point + Fraction(ord(mark), 97) ** 2
        if mark == r"\infty":
            return self._point + 1000
        raise _UnreadableError(mark)

    def _root(self) -> Number:
        index: Number = Fraction(2)
        if self.peek() == "[":
            self._take()
            index = self.sum()
            self._expect("]")
        return _raised(self._argument(), _divided(Fraction(1), index))

    def _function(self, function: Callable[[complex], complex]) -> Number:
        exponent: Number = Fraction(1)
        if self.peek() == "^":
            self._take()
            exponent = self._argument()
        value = self._power()
        while self.peek() == r"\pi" or (len(self.peek()) == 1 and self.peek().isalpha()):
            value = _bounded(value * self._power())
        return _raised(function(complex(value)), exponent)

    def _take(self) -> str:
        mark = self.peek()
        if not mark:
            raise _UnreadableError("it breaks off")
        self._next += 1
        return mark

    def _expect(self, mark: str) -> None:
        if self._take() != mark:
            raise _UnreadableError(f"no {mark}")


def _bounded(value: Number) -> Number:
    if isinstance(value, Fraction) and value.numerator.bit_length() + value.denominator.bit_length() > _MAX_BITS:
        raise _UnreadableError("out of bounds")
    return value


def _divided(first: Number, second: Number) -> Number:
    return _bounded(first / second)


def _raised(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = base.numerator.bit_length() + base.denominator.bit_length()
        if bits * abs(exponent.numerator) > _MAX_BITS:
            raise _UnreadableError("out of bounds")
        return Fraction(base**exponent.numerator)
    if isinstance(base, Fraction) and base < 0 and isinstance(exponent, Fraction) and exponent.denominator % 2:
        # The real root of a negative number, as schools have it.
        return complex(-((-float(base)) ** float(exponent)))
    return complex(complex(base) ** complex(exponent))


def _factorial(value: Number) -> Number:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= _MAX_FACTORIAL:
        raise _UnreadableError("no factorial")
    return Fraction(math.factorial(value.numerator))
