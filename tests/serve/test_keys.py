"""Keys: read, checked and made, and nobody else reads them."""

import stat
from pathlib import Path

import pytest

from pocketphi.errors import UserError
from pocketphi.serve.keys import check_keys, made_token, read_keys


def test_a_token_is_made_once_and_kept_for_nobody_else(tmp_path: Path):
    path = tmp_path / "state" / "token"
    token = made_token(path)
    assert len(token) >= 27
    assert made_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made_token(path, anew=True) != token
    assert made_token(path) != token


def test_a_damaged_token_is_replaced(tmp_path: Path):
    path = tmp_path / "token"
    path.write_bytes(b"\xff\n")
    assert len(made_token(path)) >= 27


def test_keys_are_read_one_a_line(tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text("# for the phone\nfirst-key\n\n second-key \n")
    path.chmod(0o600)
    assert read_keys(path) == ["first-key", "second-key"]


def test_a_file_that_others_read_is_refused(tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(UserError, match="others may read") as error:
        read_keys(path)
    assert "chmod 600" in (error.value.hint or "")


@pytest.mark.parametrize("content", ["", "# nothing\n", "\n\n"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "keys"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match="holds no key"):
        read_keys(path)


@pytest.mark.parametrize("key", ["", "two words", "newline\n", "tab\t", "é", "x" * 257])
def test_a_key_that_no_header_carries_is_refused_without_being_told(key: str):
    with pytest.raises(UserError) as error:
        check_keys(["good-enough-a-key", key], is_reachable=False)
    assert "key 2" in error.value.message
    assert not key or key not in str(error.value)


def test_short_keys_open_on_this_machine_only():
    assert check_keys(["short", "short"], is_reachable=False) == ("short",)
    with pytest.raises(UserError, match="few for a server that others reach"):
        check_keys(["short"], is_reachable=True)
