"""What must hold for the repository: locked dependencies, documents that point at real things, honest skips."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from check_skips import main as check_skips  # noqa: E402

MAX_LINES = 400
# A file past the limit and why it is one piece.
LONG_FILES: dict[str, str] = {}
CODE = {".py", ".cpp", ".h", ".c", ".js", ".mjs", ".ts", ".sh"}


def tracked_files() -> list[Path]:
    """Committed and about to be: what git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    return [path for name in sorted(set(listed)) if (path := ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def locked(name: str) -> dict[str, set[str]]:
    """Package name -> its versions in a lock (several, where they differ by Python version)."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            package, _, rest = line.partition("==")
            versions.setdefault(package, set()).add(rest.split()[0])
    return versions


def project() -> dict[str, list[str]]:
    """Declared requirements: those of the base under `run`, those of each extra under its name."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"run": table["dependencies"], **table["optional-dependencies"]}


def test_no_file_is_too_long_to_read():
    long = {
        relative(p): n for p in tracked_files() if p.suffix in CODE and (n := p.read_text().count("\n")) > MAX_LINES
    }
    assert not long.keys() - LONG_FILES.keys(), f"split, or give a reason in LONG_FILES: {long}"
    assert not LONG_FILES.keys() - long.keys(), "a listed file is short again: take it off LONG_FILES"


def test_nothing_is_left_for_later():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{relative(path)}:{number}"
        for path in tracked_files()
        if path.suffix in CODE and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not found


@pytest.mark.parametrize("lock", ["build.lock", "run.lock", "make.lock", "dev.lock", "model.lock", "clients.lock"])
def test_every_locked_file_is_pinned_by_hash(lock: str):
    text = (ROOT / "requirements" / lock).read_text().replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert requirements
    for line in requirements:
        assert re.match(r"^[a-z0-9-]+==[\w.+!]+( ; .*?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*$", line), line[:120]


def test_the_locks_hold_what_the_project_declares():
    declared = project()
    make = declared["run"] + declared["train"] + declared["data"]
    for lock, texts in {"run.lock": declared["run"], "make.lock": make, "dev.lock": make + declared["dev"]}.items():
        versions = locked(lock)
        for requirement in map(Requirement, texts):
            if requirement.name == "torch":  # beside the locks, see Makefile
                continue
            assert requirement.name in versions, f"{requirement.name} is not in {lock}: run `make lock`"
            for version in versions[requirement.name]:
                assert requirement.specifier.contains(version), f"{lock}: {requirement.name} {version}: run `make lock`"


def test_the_locks_agree_with_each_other():
    larger = [locked("make.lock"), locked("dev.lock")]
    for small, large in [(locked("run.lock"), larger[0]), (larger[0], larger[1])]:
        assert {package: large[package] for package in small} == small


def test_the_base_install_has_no_torch():
    heavy = {"torch", "transformers", "safetensors", "jinja2", "gguf", "scipy", "pandas"}
    assert not heavy & locked("run.lock").keys()


def documents() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def test_links_in_documents_lead_somewhere():
    broken = [
        f"{relative(document)}: {target}"
        for document in documents()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if not target.startswith(("https:", "http:", "mailto:")) and not (document.parent / target).exists()
    ]
    assert not broken


def test_make_targets_in_documents_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (relative(document), target)
        for document in documents()
        for call in re.findall(r"`make ([a-z -]+)`|^make ([a-z-]+)", document.read_text(), re.MULTILINE)
        for target in "".join(call).split()
    }
    assert not [(document, target) for document, target in named if target not in targets]


def test_commands_in_the_readme_exist():
    from typer.core import TyperGroup
    from typer.main import get_command

    from pocketphi.cli.app import app

    command = get_command(app)
    assert isinstance(command, TyperGroup)
    shown = "".join(re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL))
    named = set(re.findall(r"^pocketphi ([a-z]+)", shown, re.MULTILINE))
    assert named <= set(command.commands)


def write_report(path: Path, *cases: str) -> Path:
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


def case(name: str, skip: str | None = None, kind: str = "pytest.skip") -> str:
    inner = "" if skip is None else f'<skipped type="{kind}" message="{skip}"/>'
    return f'<testcase classname="tests.cross.test_arm64" name="{name}">{inner}</testcase>'


def test_an_allowed_skip_passes_and_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rules = tmp_path / "skips.txt"
    rules.write_text("# why\n\ntests.cross.*::* ; needs qemu*\n")
    report = write_report(tmp_path / "report.xml", case("test_a"), case("test_b", "needs qemu-aarch64-static"))
    assert check_skips([str(report), str(rules)]) == 0
    assert "tests.cross.test_arm64::test_b: needs qemu-aarch64-static" in capsys.readouterr().out


def test_a_skip_for_another_reason_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rules = tmp_path / "skips.txt"
    rules.write_text("tests.cross.*::* ; needs qemu*\n")
    report = write_report(tmp_path / "report.xml", case("test_a"), case("test_b", "felt like it"))
    assert check_skips([str(report), str(rules)]) == 1
    assert "NOT ALLOWED skip: tests.cross.test_arm64::test_b" in capsys.readouterr().out


def test_an_expected_failure_is_no_skip(tmp_path: Path):
    rules = tmp_path / "skips.txt"
    rules.write_text("")
    report = write_report(tmp_path / "report.xml", case("test_a", "known", kind="pytest.xfail"))
    assert check_skips([str(report), str(rules)]) == 0


def test_a_run_without_tests_fails(tmp_path: Path):
    rules = tmp_path / "skips.txt"
    rules.write_text("")
    assert check_skips([str(write_report(tmp_path / "report.xml")), str(rules)]) == 1


def test_a_module_that_skips_whole_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "test_one.py").write_text("def test_it(): pass\n")
    (tmp_path / "test_two.py").write_text("import pytest\npytest.skip('needs a moon', allow_module_level=True)\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--junitxml=report.xml"], cwd=tmp_path, capture_output=True)
    rules = tmp_path / "skips.txt"
    rules.write_text("::test_two ; needs a moon\n")
    assert check_skips([str(tmp_path / "report.xml"), str(rules)]) == 0
    assert "::test_two: needs a moon" in capsys.readouterr().out
