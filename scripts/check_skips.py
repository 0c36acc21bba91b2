"""Hold the skipped tests of a run against the list of allowed ones.

A skipped test looks like a passed one in a long log, so each skip prints here with its reason and
must be matched by a rule of `tests/skips.txt`; otherwise the exit code is 1. A run without tests
fails too.

    python scripts/check_skips.py build/test-report.xml tests/skips.txt
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True, kw_only=True)
class Skip:
    """One skipped test."""

    test: str
    """`tests.module::name`, or `::tests.module` for a module that skips whole."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Shell patterns of a skip that is allowed."""

    test: str
    reason: str

    def allows(self, skip: Skip) -> bool:
        return fnmatchcase(skip.test, self.test) and fnmatchcase(skip.reason, self.reason)


def read_rules(path: Path) -> list[Rule]:
    rules = []
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            test, separator, reason = line.partition(";")
            if not separator or not reason.strip():
                raise SystemExit(f"error: {path}: `{line}` is not `TEST ; REASON`")
            rules.append(Rule(test=test.strip(), reason=reason.strip()))
    return rules


def read_report(path: Path) -> tuple[int, list[Skip]]:
    """The number of tests in a JUnit report, and those of them that skipped."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    skips = []
    for case in cases:
        skipped = case.find("skipped")
        # An expected failure is written as a skip of its own type; it ran.
        if skipped is not None and skipped.get("type") != "pytest.xfail":
            text = skipped.get("message", "")
            if text == "collection skipped":  # a module that skips whole: the reason is in the body
                text = (skipped.text or "").rpartition("Skipped: ")[2].rstrip("')\n")
            skips.append(Skip(test=f"{case.get('classname', '')}::{case.get('name', '')}", reason=text))
    return len(cases), skips


def main(arguments: Sequence[str]) -> int:
    report, rules_file = (Path(argument) for argument in arguments)
    rules = read_rules(rules_file)
    num_tests, skips = read_report(report)
    if num_tests == 0:
        print(f"error: {report}: no test ran", file=sys.stderr)
        return 1
    surprises = [skip for skip in skips if not any(rule.allows(skip) for rule in rules)]
    for skip in skips:
        print(f"{'NOT ALLOWED' if skip in surprises else 'allowed'} skip: {skip.test}: {skip.reason}")
    print(f"{num_tests - len(skips)} of {num_tests} tests ran, {len(skips)} skipped")
    if surprises:
        print(f"error: {len(surprises)} skips are not on {rules_file}", file=sys.stderr)
        print("\nhint: install what the tests need, or add a rule that says why they may skip", file=sys.stderr)
    return 1 if surprises else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
