r"""When two mathematical answers in LaTeX are the same.

Two answers are taken apart into their elements (`(1, 2)`, `[0, \infty)`, `x = 1, 2`, matrices), and those are compared
by value: `eval.tasks.expressions` evaluates both at a few fixed points (polynomials that agree at random points are
equal: Schwartz 1980), so `\frac{1}{\sqrt3}` is `\frac{\sqrt{3}}{3}`. What cannot be evaluated is compared as text.

Written rules: units, `\text{...}` behind a number, degrees, `%` and `$` do not count; commas between groups of three
digits are no separators; the order counts in brackets, not in a bare list or a set; `x = 5` is `5`; a decimal is its
exact value, so `0.33` is not a third; a reply that goes on for more than 400 characters is not understood.
"""

import re

from pocketphi.eval.tasks.expressions import agree
from pocketphi.eval.tasks.replies import after_cue

MAX_LENGTH = 400
_BOXED = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])\s*")
_GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_DROPPED = re.compile(
    r"\\(?:left|right|displaystyle|limits|bigl?|bigr?|Bigl?|Bigr?)(?![A-Za-z])\.?|(?<!\\)\\[!,;: ]|\\\$|\$|~"
)
_DEGREES = re.compile(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|\u00b0")
_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox|mathbf|operatorname)\s*\{([^{}]*)\}")
_LHS = re.compile(r"\s*[A-Za-z](?:_\{?\w\}?)?(?:\([A-Za-z]\))?\s*(?:=|\\in(?![A-Za-z]))\s*")
_MATRIX = re.compile(r"\\begin\{([pbv]?matrix)\}(.*?)\\end\{\1\}", re.DOTALL)
_OPEN, _CLOSE = "([{", ")]}"


def math_answer(reply: str) -> str | None:
    r"""The contents of the last `\boxed{}`, else what stands behind the first cue, else a reply of a single line."""
    if _BOXED.search(reply):
        found = last_boxed(reply)
    else:
        found = after_cue(reply)
        if found is None and "\n" not in reply.strip():
            found = reply
    found = (found or "").strip()
    return found.rstrip(".").strip() if 0 < len(found) <= MAX_LENGTH else None


def last_boxed(text: str) -> str | None:
    r"""The contents of the last `\boxed{...}`, with braces inside; of `\boxed 5`, `5`. None if it is never closed."""
    found = None
    for found in _BOXED.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    if found is None:
        return None
    start = found.end()
    if text[start : start + 1] != "{":
        return text[start : start + MAX_LENGTH + 1].partition("\n")[0].split("$")[0].strip() or None
    depth = 0
    for end in range(start, len(text)):
        if text[end] in "{}" and text[end - 1] != "\\":
            depth += 1 if text[end] == "{" else -1
            if depth == 0:
                return text[start + 1 : end]
    return None


def same_math(first: str, second: str) -> bool:
    """Whether two answers are the same."""
    if first.strip() == second.strip():
        return True
    if len(first) > MAX_LENGTH or len(second) > MAX_LENGTH:
        return False
    return _same(_plain(first), _plain(second))


def _same(first: str, second: str) -> bool:
    if _squeezed(first) == _squeezed(second):
        return True
    matrices = _MATRIX.fullmatch(first), _MATRIX.fullmatch(second)
    if matrices[0] and matrices[1]:
        return _same_cells(_cells(matrices[0][2]), _cells(matrices[1][2]))
    if "=" in first and "=" in second:
        return _same_equation(first, second)
    first, second = _LHS.sub("", first, count=1), _LHS.sub("", second, count=1)
    for sign in (r"\cup", ";"):
        if sign in first or sign in second:
            return _same_in_any_order(first.split(sign), second.split(sign))
    one, other = _listed(first), _listed(second)
    if len(one) > 1 or len(other) > 1:
        return _same_in_any_order(one, other)
    if _is_set(first) and _is_set(second):
        return _same_in_any_order(_listed(first[2:-2]), _listed(second[2:-2]))
    if _is_bracketed(first) and _is_bracketed(second):
        inner = _listed(first[1:-1]), _listed(second[1:-1])
        if len(inner[0]) > 1 or len(inner[1]) > 1:
            return first[0] + first[-1] == second[0] + second[-1] and _same_in_order(*inner)
    if _squeezed(first) == _squeezed(second):
        return True
    return agree(first, second)


def _plain(answer: str) -> str:
    """Without what does not count."""
    text = (
        answer.strip()
        .replace("\u2212", "-")
        .replace("{,}", ",")
        .replace(r",\!", ",")
        .replace(r"\%", "")
        .replace("%", "")
    )
    text = _DEGREES.sub("", _DROPPED.sub(" ", text)).replace(r"\infin ", r"\infty ")
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = _WORDS.sub(lambda found: " " if _is_unit(text, found) else f" {found[1].strip()} ", text)
    # A lone letter of an option, in brackets or not.
    text = re.sub(r"^\s*\(\s*([A-Z])\s*\)\s*$", r"\1", text)
    text = re.sub(r"(?<=\d)\s+(?:[a-z]+(?:\s+|$))+(?:\^\{?[23]\}?)?\s*$", "", text)
    return _GROUPED.sub(lambda found: found[0].replace(",", ""), text).strip().rstrip(".").strip()


def _is_unit(text: str, found: re.Match[str]) -> bool:
    if found[1].strip() in ("and", "or"):
        return False
    before = text[: found.start()].rstrip()
    return before[-1:].isdigit() or before[-1:] in ("}", ")") or before.endswith((r"\pi", r"\$"))


def _squeezed(text: str) -> str:
    return re.sub(r"([_^])\{(\w)\}", r"\1\2", re.sub(r"\s+", "", text)).casefold()


def _listed(text: str) -> list[str]:
    r"""Elements between commas outside of brackets; `a \pm b` is two of them."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0 and char == ",":
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    parts = [each for part in parts for each in re.split(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])", part)]
    return [
        each.strip()
        for part in parts
        for each in ([part.replace(r"\pm", sign) for sign in "+-"] if r"\pm" in part else [part])
        if each.strip()
    ]


def _same_in_order(first: list[str], second: list[str]) -> bool:
    return len(first) == len(second) and all(_same(*pair) for pair in zip(first, second, strict=True))


def _same_in_any_order(first: list[str], second: list[str]) -> bool:
    if len(first) != len(second) or len(first) > 16:
        return False
    left = [each.strip() for each in second]
    for each in first:
        found = next((other for other in left if _same(each.strip(), other)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _cells(matrix: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("&")] for row in re.split(r"\\\\", matrix) if row.strip()]


def _same_cells(first: list[list[str]], second: list[list[str]]) -> bool:
    return len(first) == len(second) and all(_same_in_order(*rows) for rows in zip(first, second, strict=True))


def _same_equation(first: str, second: str) -> bool:
    """Equations with the same solutions as far as moving terms and changing the sign of all tells."""
    sides = [text.split("=") for text in (first, second)]
    if any(len(pair) != 2 for pair in sides):
        return False
    one, other = (f"({left})-({right})" for left, right in sides)
    return agree(one, other) or agree(one, f"-({other})")


def _is_bracketed(text: str) -> bool:
    return text[:1] in ("(", "[") and text[-1:] in (")", "]")


def _is_set(text: str) -> bool:
    return text.startswith(r"\{") and text.endswith(r"\}")
