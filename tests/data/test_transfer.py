"""Downloads over HTTP: resumed, retried, bounded, and from accepted addresses alone."""

import errno
import os
import random

import pytest

from alexnet.data import transfer
from alexnet.data.transfer import NotFoundError, check_url, fetch
from alexnet.errors import UserError

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def waits():
    """The seconds waited before each retry."""
    return []


@pytest.fixture
def get(server, tmp_path, waits):
    """Download the server's file and return its content."""
    server.files["/file"] = CONTENT

    def get(num_bytes=None):
        fetch(f"{server.url}/file", tmp_path / "p.part", num_bytes, sleep=waits.append)
        return (tmp_path / "p.part").read_bytes()

    return get


@pytest.mark.parametrize(
    ("plan", "ranges"),
    [
        ([], [None]),
        (["cut", "cut"], [None, "bytes=150000-", "bytes=225000-"]),
        (["cut", "ignore"], [None, "bytes=150000-"]),
        (["cut", "shift"], [None, "bytes=150000-", None]),
    ],
    ids=["no fault", "resumed twice", "the server ignores the range", "another range is sent"],
)
def test_an_interrupted_download_is_resumed(server, get, waits, plan, ranges):
    server.plan = plan
    assert get() == CONTENT
    assert server.ranges == ranges
    assert waits == [1, 2][: len(ranges) - 1]


@pytest.mark.parametrize("changed", [False, True])
def test_the_next_run_resumes_unless_the_file_changed(server, get, monkeypatch, changed):
    server.plan = ["cut"]
    monkeypatch.setattr(transfer, "NUM_ATTEMPTS", 1)
    with pytest.raises(UserError, match="run again to resume"):
        get()
    if changed:
        server.files["/file"], server.etag = CONTENT[::-1], '"two"'
    assert get() == (CONTENT[::-1] if changed else CONTENT)
    assert server.ranges == [None, "bytes=150000-"]


@pytest.mark.parametrize(
    ("partial", "num_bytes", "num_requests"),
    [(CONTENT, len(CONTENT), 0), (CONTENT, None, 1), (CONTENT + b"more", None, 2)],
)
def test_a_partial_file_that_is_complete_or_too_long(
    server, get, tmp_path, partial, num_bytes, num_requests
):
    (tmp_path / "p.part").write_bytes(partial)
    (tmp_path / "p.validator").write_text(server.etag)
    assert get(num_bytes) == CONTENT
    assert len(server.ranges) == num_requests


def test_server_errors_are_retried_a_limited_number_of_times(server, get, waits):
    server.plan = [503, 429]
    assert get() == CONTENT
    server.plan = [500] * 99
    with pytest.raises(UserError, match="failed 5 times, last with: HTTP 500"):
        get()
    assert waits == [1, 2, 1, 2, 4, 8]


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (403, UserError)])
def test_client_errors_are_not_retried(server, get, status, error):
    server.plan = [status]
    with pytest.raises(error, match=f"HTTP {status}"):
        get()
    assert len(server.ranges) == 1


def test_a_refused_connection_is_retried(tmp_path, waits):
    with pytest.raises(UserError, match="failed 5 times"):
        fetch("http://127.0.0.1:9/file", tmp_path / "p.part", sleep=waits.append)


def test_a_file_larger_than_published_is_not_read_to_its_end(server, get):
    server.files["/file"] = bytes(20 << 20)
    assert len(get(num_bytes=1000)) < 3 << 20


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/x", "use https"),
        ("ftp://example.org/x", "https:// address or a local path"),
        ("https://me:secret@example.org/x", r"https://example.org/x: has a password.*netrc"),
        ("http://me:secret@example.org/x", r"http://example.org/x: has a password.*netrc"),
        ("file:///etc/passwd", "https:// address or a local path"),
        ("https://[::1/x", "is not a URL"),
    ],
)
def test_an_address_that_is_not_accepted(url, message):
    with pytest.raises(UserError, match=message) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [("http://example.org/file", "use https"), ("https://[::1/x", "redirects to what is no URL")],
)
def test_a_redirect_to_plain_http_or_nowhere_is_an_error(server, get, target, message):
    server.redirects["/file"] = target
    with pytest.raises(UserError, match=message):
        get()


@pytest.mark.parametrize(
    "url", ["https://", "https://localhost:99999/x", "https://a b/", "https://*/"]
)
def test_an_odd_address_is_a_message(url, tmp_path, waits):
    with pytest.raises(UserError, match="https://"):
        fetch(url, tmp_path / "p.part", sleep=waits.append)


def test_a_full_disk_names_the_partial_download(server, tmp_path, monkeypatch):
    server.files["/file"] = CONTENT
    monkeypatch.setattr(transfer, "progress", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*/p\.part'"):
        fetch(f"{server.url}/file", tmp_path / "p.part")


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
