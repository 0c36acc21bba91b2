from pathlib import Path

import pytest

from pocketphi.config import settings
from pocketphi.errors import UserError

HOME = {"HOME": "/home/someone"}


def test_folders_follow_xdg_and_ignore_relative_paths():
    assert settings(HOME).cache_dir == Path("/home/someone/.cache/pocketphi")
    assert settings(HOME).state_dir == Path("/home/someone/.local/state/pocketphi")
    moved = settings(HOME | {"XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "not/absolute"})
    assert moved.cache_dir == Path("/c/pocketphi")
    assert moved.state_dir == Path("/home/someone/.local/state/pocketphi")


@pytest.mark.parametrize("value", ["1", "true", "on", "ture", " yes "])
def test_offline_is_on_for_anything_that_is_not_clearly_off(value):
    assert settings(HOME | {"POCKETPHI_OFFLINE": value}).offline
    assert settings(HOME | {"HF_HUB_OFFLINE": value}).offline


@pytest.mark.parametrize("value", ["", "0", "false", "No", "OFF"])
def test_offline_is_off_when_the_variable_says_so(value):
    assert not settings(HOME | {"POCKETPHI_OFFLINE": value}).offline


def test_hugging_face_variables_move_its_folders():
    assert settings(HOME).hf_hub_cache == Path("/home/someone/.cache/huggingface/hub")
    assert settings(HOME | {"HF_HOME": "/hf"}).hf_hub_cache == Path("/hf/hub")
    assert settings(HOME | {"HF_HUB_CACHE": "/hub"}).hf_hub_cache == Path("/hub")
    assert settings(HOME | {"HF_ENDPOINT": "http://localhost:1/"}).hf_endpoint == "http://localhost:1"


def test_a_token_comes_from_the_environment_before_the_file_and_never_shows(tmp_path):
    environment = HOME | {"HF_HOME": str(tmp_path)}
    assert settings(environment).hf_token is None
    (tmp_path / "token").write_text("hf_stored\n")
    assert settings(environment).hf_token == "hf_stored"
    told = settings(environment | {"HF_TOKEN": "hf_told"})
    assert told.hf_token == "hf_told"
    assert "hf_told" not in repr(told)


def test_no_home_is_an_error_that_names_the_variable_to_set(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        settings({})
