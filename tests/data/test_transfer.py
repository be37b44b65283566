import random
from pathlib import Path

import pytest

from alexnet.data import transfer
from alexnet.data.transfer import NotThereError, check_url, fetch
from alexnet.errors import UserError

from .conftest import Server

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def waits() -> list[float]:
    return []


def get(server: Server, partial: Path, waits: list[float], num_bytes: int | None = None) -> bytes:
    server.files.setdefault("/file", CONTENT)
    fetch(f"{server.url}/file", partial, num_bytes, sleep=waits.append)
    return partial.read_bytes()


def test_whole_file(server: Server, tmp_path: Path, waits: list[float]) -> None:
    assert get(server, tmp_path / "p.part", waits) == CONTENT
    assert server.ranges == [None]
    assert waits == []


def test_a_cut_connection_is_resumed_where_it_broke(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.plan = ["cut", "cut"]
    assert get(server, tmp_path / "p.part", waits) == CONTENT
    assert server.ranges == [None, "bytes=150000-", "bytes=225000-"]
    assert waits == [1, 2]


def test_a_killed_download_is_resumed_by_the_next_run(
    server: Server, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = ["cut"]
    monkeypatch.setattr(transfer, "NUM_ATTEMPTS", 1)
    with pytest.raises(UserError, match="run again to go on"):
        get(server, tmp_path / "p.part", waits)
    assert get(server, tmp_path / "p.part", waits) == CONTENT
    assert server.ranges == [None, "bytes=150000-"]


def test_a_server_that_ignores_ranges_sends_it_all_again(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.plan = ["cut", "ignore"]
    assert get(server, tmp_path / "p.part", waits) == CONTENT


def test_a_file_that_changed_meanwhile_is_not_spliced(
    server: Server, tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan = ["cut"]
    monkeypatch.setattr(transfer, "NUM_ATTEMPTS", 1)
    with pytest.raises(UserError):
        get(server, tmp_path / "p.part", waits)
    server.files["/file"], server.etag = CONTENT[::-1], '"two"'
    assert get(server, tmp_path / "p.part", waits) == CONTENT[::-1]


def test_another_range_than_asked_for_is_not_taken(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.plan = ["cut", "shift"]
    assert get(server, tmp_path / "p.part", waits) == CONTENT
    assert server.ranges == [None, "bytes=150000-", None]


@pytest.mark.parametrize("arrived", [CONTENT, CONTENT + b"more"])
def test_a_range_behind_the_end(
    server: Server, tmp_path: Path, waits: list[float], arrived: bytes
) -> None:
    partial = tmp_path / "p.part"
    partial.write_bytes(arrived)
    partial.with_suffix(".version").write_text(server.etag)
    assert get(server, partial, waits) == CONTENT
    assert len(server.ranges) == (1 if arrived == CONTENT else 2)


def test_a_server_in_trouble_is_asked_again_but_not_for_ever(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.plan = [503, 429]
    assert get(server, tmp_path / "p.part", waits) == CONTENT
    server.plan = [500] * 99
    with pytest.raises(UserError, match="failed 5 times, last with: HTTP 500"):
        get(server, tmp_path / "q.part", waits)
    assert waits == [1, 2, 1, 2, 4, 8]


@pytest.mark.parametrize(("status", "error"), [(404, NotThereError), (403, UserError)])
def test_a_refusal_is_final(
    server: Server, tmp_path: Path, waits: list[float], status: int, error: type[Exception]
) -> None:
    server.plan = [status]
    with pytest.raises(error, match=f"HTTP {status}"):
        get(server, tmp_path / "p.part", waits)
    assert len(server.ranges) == 1


def test_nobody_listens(tmp_path: Path, waits: list[float]) -> None:
    with pytest.raises(UserError, match="failed 5 times"):
        fetch("http://127.0.0.1:9/file", tmp_path / "p.part", sleep=waits.append)


def test_a_file_larger_than_published_is_not_read_to_its_end(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.files["/file"] = bytes(20 << 20)
    assert len(get(server, tmp_path / "p.part", waits, num_bytes=1000)) < 3 << 20


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/x", "use https"),
        ("ftp://example.org/x", "https:// address or a local path"),
        ("https://me:secret@example.org/x", r"https://example.org/x: carries a password.*netrc"),
    ],
)
def test_refused_addresses(url: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


def test_a_redirect_to_plain_http_is_refused(
    server: Server, tmp_path: Path, waits: list[float]
) -> None:
    server.redirects["/file"] = "http://example.org/file"
    with pytest.raises(UserError, match="use https"):
        get(server, tmp_path / "p.part", waits)
