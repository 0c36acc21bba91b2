import errno
import gzip
import hashlib
import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from data.pages import archive, html, record
from pocketphi.data.sources import (
    MAX_PAGE_BYTES,
    Page,
    Unreadable,
    corpus_settings,
    find_sources,
    keep_apart,
    read_source,
)
from pocketphi.errors import UserError
from pocketphi.recipe import Curate


def read(folder: Path) -> list[Page | Unreadable]:
    return [page for source in find_sources([folder]) for page in read_source(source)]


def fates(folder: Path) -> list[str]:
    return [page.url if isinstance(page, Page) else page.reason for page in read(folder)]


def records(count: int) -> list[bytes]:
    generator = random.Random(0)
    return [record(f"http://a/{n}", html(f"<p>{generator.getrandbits(4000):x}</p>").encode()) for n in range(count)]


def test_files_of_every_kind_are_read_in_a_fixed_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("plain")
    (tmp_path / "a.md").write_text("# Title")
    (tmp_path / "c.HTML").write_text(html("x"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.jsonl.gz").write_bytes(
        gzip.compress(b'{"text": "one", "url": "http://one"}\nnot json\n{"other": 1}\n{"html": "<p>two"}\n')
    )
    (tmp_path / "e.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("no")
    found = read(tmp_path)
    assert [page.kind if isinstance(page, Page) else page.reason for page in found] == [
        "markdown", "text", "html", "unknown kind of file", "text", "damaged line", "damaged line", "html",
    ]  # fmt: skip
    assert len({page.key for page in found}) == len(found)


def test_a_missing_or_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        find_sources([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="holds no file"):
        find_sources([tmp_path])


def test_an_archive_gives_its_pages_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(
        archive(
            [
                record("http://a/page", html("one").encode()),
                record("http://a/gone", b"", status="404 Not Found"),
                record("http://a/picture", b"\x89PNG", content_type="image/png"),
                record("http://a/plain", b"text", content_type="text/plain"),
            ]
        )
    )
    assert fates(tmp_path) == ["http://a/page", "http status", "not text", "http://a/plain"]


@pytest.mark.parametrize("compressed", [True, False])
def test_after_damage_reading_goes_on_at_the_next_record(tmp_path: Path, compressed: bool) -> None:
    parts = [gzip.compress(each, mtime=0) if compressed else each for each in records(8)]
    parts[2] = b"garbage in between " * 20
    parts[5] = parts[5][:40] + b"\x00" * 30 + parts[5][70:] if compressed else b"WARC/1.0\r\nnonsense\r\n\r\n"
    (tmp_path / ("x.warc.gz" if compressed else "x.warc")).write_bytes(b"".join(parts))
    pages = [page.url for page in read(tmp_path) if isinstance(page, Page)]
    damaged = [page for page in read(tmp_path) if isinstance(page, Unreadable)]
    # A plain archive has no frame around a record: garbage there may cost the record before it.
    assert set(pages) >= {"http://a/0", "http://a/3", "http://a/4", "http://a/6", "http://a/7"}
    if compressed:
        assert pages == [f"http://a/{n}" for n in (0, 1, 3, 4, 6, 7)]
        assert [page.reason for page in damaged] == ["damaged record"] * 2


def test_every_cut_of_an_archive_is_counted_and_loses_one_record_at_most(tmp_path: Path) -> None:
    parts = [gzip.compress(each, mtime=0) for each in records(3)]
    whole = b"".join(parts)
    before = len(parts[0]) + len(parts[1])
    path = tmp_path / "x.warc.gz"
    for cut in range(before + 1, len(whole), 97):
        path.write_bytes(whole[:cut])
        found = fates(tmp_path)
        assert found[:2] == ["http://a/0", "http://a/1"]
        assert len(found) == 3
        assert found[2] in ("truncated record", "damaged record")


def test_bodies_are_decoded_unless_the_headers_lie(tmp_path: Path) -> None:
    body = html("<p>hello</p>").encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    gzipped, encoding = gzip.compress(body), "Content-Encoding: gzip\r\n"
    (tmp_path / "x.warc.gz").write_bytes(
        archive(
            [
                record("http://a/1", chunked, headers="Transfer-Encoding: chunked\r\n"),
                record("http://a/2", body, headers="Transfer-Encoding: chunked\r\n"),
                record("http://a/3", gzipped, headers=encoding),
                record("http://a/4", body, headers=encoding),
            ]
        )
    )
    assert [page.payload for page in read(tmp_path) if isinstance(page, Page)] == [body] * 4


def test_a_page_of_100_mb_is_dropped_in_little_memory(tmp_path: Path) -> None:
    size = 100_000_000
    with (tmp_path / "a.html").open("wb") as file:
        file.truncate(size)
    with gzip.open(tmp_path / "b.warc.gz", "wb", compresslevel=1) as archived:
        archived.write(record("http://a/big", b" " * size))
    with gzip.open(tmp_path / "c.jsonl.gz", "wb", compresslevel=1) as lines:
        lines.write(b'{"text": "' + b" " * size + b'"}\n' + json.dumps({"text": "small"}).encode())
    bomb = gzip.compress(b" " * size, 9)
    (tmp_path / "d.warc.gz").write_bytes(archive([record("http://a/bomb", bomb, headers="Content-Encoding: gzip\r\n")]))
    tracemalloc.start()
    try:
        found = read(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [page.reason if isinstance(page, Unreadable) else page.payload for page in found] == [
        "too large", "too large", "too large", b"small", "too large",
    ]  # fmt: skip
    assert peak < 6 * MAX_PAGE_BYTES


def test_any_bytes_in_an_archive_are_survived(tmp_path: Path) -> None:
    generator = random.Random(1)
    whole = bytearray(archive(records(4)))
    path = tmp_path / "x.warc.gz"
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(generator.randrange(1, 6)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(bytes(damaged))
        read(tmp_path)
    for name in ("a.warc", "b.warc.gz", "c.arc.gz", "d.jsonl.gz", "e.txt.gz", "f.jsonl"):
        (tmp_path / name).write_bytes(generator.randbytes(3000))
    (tmp_path / "empty.warc").write_bytes(b"")
    assert "empty archive" in fates(tmp_path)


def test_names_that_are_no_utf8_survive_and_stay_apart(tmp_path: Path) -> None:
    for name in (b"caf\xe9.txt", b"caf\\xe9.txt", b"caf\xe8.txt"):
        try:
            (tmp_path / os.fsdecode(name)).write_text("text")
        except OSError:
            pytest.skip("this file system wants UTF-8")
    names = [source.name for source in find_sources([tmp_path])]
    assert "0/caf\\xe9.txt" in names
    assert len(set(names)) == 3
    assert all(page.key.isascii() for page in read(tmp_path))
    hashlib.sha256(json.dumps(corpus_settings(Curate(), [tmp_path]), ensure_ascii=False).encode())


def test_links_are_followed_once_and_what_is_no_file_is_counted(tmp_path: Path) -> None:
    pages, elsewhere = tmp_path / "pages", tmp_path / "elsewhere"
    (pages / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    (pages / "sub" / "a.txt").write_text("a")
    (elsewhere / "b.txt").write_text("b")
    (pages / "there").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(pages)
    (pages / "again").symlink_to(pages / "sub")
    (pages / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(pages / "pipe.txt")
    told = {
        page.key: "text" if isinstance(page, Page) else page.reason
        for source in find_sources([pages])
        for page in read_source(source)
    }
    assert told == {
        "0/again": "folder read already",
        "0/gone.txt": "link to nothing",
        "0/pipe.txt": "no regular file",
        "0/sub/a.txt": "text",
        "0/there/b.txt": "text",
        "0/there/back": "folder read already",
    }
    assert list(told) == sorted(told)
    assert len(corpus_settings(Curate(), [pages])["folders"]) == 6


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read the folder `.*closed`: permission denied"):
        find_sources([tmp_path])


@pytest.mark.parametrize(
    "line", [{"html": None}, {"text": None}, {"text": 5}, {"html": ["a"]}, {"html": 0, "text": "x"}]
)
def test_a_line_whose_text_is_none_is_damaged(tmp_path: Path, line: object) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps(line) + "\n" + json.dumps({"html": None, "text": "x", "url": "\ud800"})
    )
    assert fates(tmp_path) == ["damaged line", "?"]


def test_results_and_pages_are_kept_apart(tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (tmp_path / "link").symlink_to(pages)
    keep_apart([pages], tmp_path / "pages-curated")
    for out in (pages, pages / "runs" / "nano", tmp_path, tmp_path / "link" / "run"):
        with pytest.raises(UserError, match="one holds the other"):
            keep_apart([pages], out)
