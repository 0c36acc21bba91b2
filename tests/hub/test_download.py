"""A download is complete and right, or absent, whatever the network does on the way."""

import dataclasses
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from hub.scenes import CONTENT, FILE, QUICK, REPO, bare, described, fetch, left_over
from hub.server import FakeHub, Fault
from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub import disk
from pocketphi.hub.download import Digest, RemoteFile, download


def test_the_whole_file_arrives_and_progress_counts_its_bytes(remote: RemoteFile, here: Settings, tmp_path: Path):
    seen: list[tuple[str, int, int | None]] = []
    download(remote, tmp_path / "w", here, patience=QUICK, progress=lambda *step: seen.append(step))
    assert (tmp_path / "w").read_bytes() == CONTENT
    assert seen[0] == (FILE, 0, len(CONTENT))
    assert seen[-1] == (FILE, len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_an_empty_file_is_a_file(hub: FakeHub, here: Settings, tmp_path: Path):
    repo = hub.add(REPO, {FILE: b""})
    assert fetch(described(hub, repo.commit, b""), tmp_path / "w", here) == b""
    assert fetch(bare(described(hub, repo.commit, b"")), tmp_path / "x", here) == b""


def test_a_finished_target_is_left_alone(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    (tmp_path / "w").write_bytes(b"mine")
    assert fetch(remote, tmp_path / "w", here) == b"mine"
    assert hub.requests == []


def test_breaks_in_mid_file_resume_where_they_happened(
    hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path
):
    hub.fault(FILE, *[Fault(cut_after=40_000)] * 5)
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    starts = [int(seen.headers.get("range", "bytes=0-")[6:-1]) for seen in hub.asked_for(FILE)]
    assert len(starts) == 6
    assert starts == sorted(starts)
    assert starts[-1] > 100_000  # a reset may lose bytes on the way, not what arrived


@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6), data=st.randoms())
def test_any_row_of_breaks_ends_in_the_same_bytes(hub, remote, here, tmp_path, cuts, data):
    hub.faults.clear()
    hub.fault(FILE, *(Fault(cut_after=cut, ignore_range=data.random() < 0.2) for cut in cuts))
    target = tmp_path / str(data.random())
    assert fetch(remote, target, here, dataclasses.replace(QUICK, attempts=9)) == CONTENT


def test_a_later_process_goes_on_with_the_partial_file(
    hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path
):
    hub.fault(FILE, Fault(cut_after=100_000), *[Fault(status=503)] * 4)
    with pytest.raises(UserError, match=r"weights.bin: .* answered 503 \(tried 4 times\)") as error:
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert "goes on where it stopped" in (error.value.hint or "")
    (kept,) = tmp_path.glob("*.partial")
    size = kept.stat().st_size
    assert 0 < size <= 100_000
    hub.requests.clear()
    hub.faults.clear()
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    assert [seen.headers["range"] for seen in hub.asked_for(FILE)] == [f"bytes={size}-"]


def test_ctrl_c_keeps_the_partial_file(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    def interrupt(_label: str, done: int, _total: int | None) -> None:
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(remote, tmp_path / "w", here, patience=QUICK, progress=interrupt)
    assert not (tmp_path / "w").exists()
    (kept,) = tmp_path.glob("*.partial")
    assert CONTENT.startswith(kept.read_bytes())
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    assert "range" in hub.asked_for(FILE)[-1].headers


def test_a_server_without_ranges_starts_over(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(cut_after=100_000), Fault(ignore_range=True))
    assert fetch(remote, tmp_path / "w", here) == CONTENT


def test_another_range_than_asked_for_is_not_glued_on(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(cut_after=100_000), Fault(shift_range=10))
    assert fetch(remote, tmp_path / "w", here) == CONTENT


def test_a_range_that_is_labelled_as_another_is_not_glued_on(hub, remote, here, tmp_path):
    hub.fault(FILE, Fault(cut_after=100_000), Fault(headers={"Content-Range": f"bytes 0-9/{len(CONTENT)}"}))
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    assert "range" not in hub.asked_for(FILE)[-1].headers


def test_a_damaged_partial_file_is_thrown_away_once(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(cut_after=100_000), *[Fault(status=500)] * 4)
    with pytest.raises(UserError):
        download(remote, tmp_path / "w", here, patience=QUICK)
    (kept,) = tmp_path.glob("*.partial")
    kept.write_bytes(b"\0" + kept.read_bytes()[1:])
    hub.faults.clear()
    assert fetch(remote, tmp_path / "w", here) == CONTENT


def test_a_wrong_hash_is_an_error_and_nothing_stays(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(body=CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])))
    with pytest.raises(UserError, match="does not match its sha256 hash and was deleted"):
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert list(tmp_path.glob("w*")) == []


def test_small_files_are_checked_by_their_git_id(hub: FakeHub, here: Settings, tmp_path: Path):
    repo = hub.add(REPO, {FILE: b"{}"})
    digest = Digest("git", "9e26dfeeb6e641a33dae4961196235bdb965b21b")  # `printf {} | git hash-object --stdin`
    remote = dataclasses.replace(described(hub, repo.commit, b"{}"), digest=digest)
    assert fetch(remote, tmp_path / "w", here) == b"{}"
    hub.fault(FILE, Fault(body=b"[]"))
    with pytest.raises(UserError, match="git hash"):
        download(remote, tmp_path / "x", here, patience=QUICK)


@pytest.mark.parametrize("tells_digests", [True, False])
def test_a_file_that_changed_between_two_runs_starts_cleanly(hub, remote, here, tmp_path, tells_digests):
    hub.repos[REPO].tells_digests = tells_digests
    hub.fault(FILE, *[Fault()] * (not tells_digests), Fault(cut_after=100_000), *[Fault(status=500)] * 4)
    with pytest.raises(UserError):
        download(bare(remote), tmp_path / "w", here, patience=QUICK)
    assert len(left_over(tmp_path / "w")) == 1
    hub.faults.clear()
    hub.requests.clear()
    changed = CONTENT[::-1]
    hub.repos[REPO].files[FILE] = changed
    assert fetch(bare(remote), tmp_path / "w", here) == changed
    assert all("range" not in seen.headers for seen in hub.asked_for(FILE))


def test_an_unchanged_file_resumes_by_its_etag(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.repos[REPO].tells_digests = False
    hub.fault(FILE, Fault(), Fault(cut_after=100_000), *[Fault(status=500)] * 4)
    with pytest.raises(UserError):
        download(bare(remote), tmp_path / "w", here, patience=QUICK)
    hub.faults.clear()
    assert fetch(bare(remote), tmp_path / "w", here) == CONTENT
    assert hub.asked_for(FILE)[-1].headers["if-range"].startswith('"')


def test_a_file_that_changes_during_the_download_starts_cleanly(hub, remote, here, tmp_path):
    hub.repos[REPO].tells_digests = False
    changed = CONTENT[::-1]

    def change(_label: str, done: int, _total: int | None) -> None:
        if done > 0:
            hub.repos[REPO].files[FILE] = changed

    hub.fault(FILE, Fault(), Fault(cut_after=100_000))
    download(bare(remote), tmp_path / "w", here, patience=QUICK, progress=change)
    assert (tmp_path / "w").read_bytes() == changed
    assert left_over(tmp_path / "w") == []


def test_without_any_mark_of_the_content_nothing_is_resumed(hub, remote, here, tmp_path):
    hub.repos[REPO].tells_digests = False
    hub.fault(FILE, Fault(headers={"ETag": ""}), Fault(headers={"ETag": ""}, cut_after=100_000))
    assert fetch(bare(remote), tmp_path / "w", here) == CONTENT
    assert all("range" not in seen.headers for seen in hub.asked_for(FILE))


@pytest.mark.parametrize("announce", [-1000, 1000])
def test_a_length_that_lies_is_not_believed(
    hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path, announce: int
):
    hub.fault(FILE, Fault(announce=announce))
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    hub.fault(FILE, *[Fault(announce=announce)] * 4)
    with pytest.raises(UserError, match="the server announces"):
        download(remote, tmp_path / "x", here, patience=QUICK)
    assert not (tmp_path / "x").exists()


def test_more_bytes_than_promised_are_refused(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, *[Fault(body=CONTENT + b"more", headers={"Content-Length": ""})] * 4)
    with pytest.raises(UserError, match="more than the 300000 bytes"):
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert not (tmp_path / "w").exists()


def test_a_compressed_answer_is_refused(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(UserError, match="compresses the file"):
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert all(seen.headers["accept-encoding"] == "identity" for seen in hub.requests)


def test_silence_in_mid_file_is_noticed(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(stall_after=100_000, seconds=5))
    start = time.monotonic()
    assert fetch(remote, tmp_path / "w", here) == CONTENT
    assert time.monotonic() - start < 3


def test_a_slow_drip_counts_as_a_stall(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, *[Fault(drip=True, seconds=0.05)] * 4)
    with pytest.raises(UserError, match="the download stalls"):
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert len(left_over(tmp_path / "w")) == 1


def test_a_rest_that_does_not_exist_starts_over(hub: FakeHub, remote: RemoteFile, here: Settings, tmp_path: Path):
    hub.fault(FILE, Fault(cut_after=100_000), Fault(status=416))
    assert fetch(remote, tmp_path / "w", here) == CONTENT


def test_offline_no_socket_is_made(
    remote: RemoteFile, here: Settings, tmp_path: Path, forbid_sockets: Callable[[], list[object]]
):
    made = forbid_sockets()
    with pytest.raises(UserError, match="the network is switched off") as error:
        download(remote, tmp_path / "w", dataclasses.replace(here, offline=True), patience=QUICK)
    assert "POCKETPHI_OFFLINE" in (error.value.hint or "")
    assert made == []


def test_too_little_space_is_said_before_anything_is_fetched(hub, remote, here, tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"weights.bin needs .* MB on the disk of .* which has 1.0 kB"):
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert hub.asked_for(FILE) == []


def test_a_disk_that_fills_up_is_a_clear_error(remote, here, tmp_path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        download(remote, tmp_path / "w", here, patience=QUICK)
    assert not (tmp_path / "w").exists()


def test_a_folder_that_cannot_be_written_is_a_clear_error(remote: RemoteFile, here: Settings, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write") as error:
        download(remote, tmp_path / "file" / "w", here, patience=QUICK)
    assert "XDG_CACHE_HOME" in (error.value.hint or "")
