"""Downloads over HTTP: resumed, retried, bounded, and from accepted addresses alone."""

import errno
import gzip
import os
import random
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from alexnet.data import transfer
from alexnet.data.transfer import NotFoundError, check_url, fetch
from alexnet.errors import UserError

from .conftest import Server

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
        (["cut", "short"], [None, "bytes=150000-", "bytes=225000-"]),
    ],
    ids=["no fault", "resumed twice", "the range is ignored", "another is sent", "a part of it"],
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
    with pytest.raises(UserError, match="failed 5 times, last with: Connection refused"):
        fetch("http://127.0.0.1:9/file", tmp_path / "p.part", sleep=waits.append)


def test_a_file_larger_than_published_is_not_read_to_its_end(server, get):
    server.files["/file"] = bytes(20 << 20)
    assert len(get(num_bytes=1000)) < 3 << 20
    server.files["/file"] = bytes(5000)
    assert len(get(num_bytes=1000)) == 5000, "the same, compressed less"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/x", "use https"),
        ("ftp://example.org/x", "https:// address or a local path"),
        ("https://me:secret@example.org/x", r"https://\.\.\.: has a password.*netrc"),
        ("http://me:secret@example.org/x", r"http://\.\.\.: has a password.*netrc"),
        ("https://secret@example.org/x", r"https://\.\.\.: has a password.*netrc"),
        ("https://me:a#secret@127.0.0.1/x", r"https://\.\.\. is not a URL; .*netrc"),
        ("https://me:1#secret@127.0.0.1/x", r"https://\.\.\.: has a password.*netrc"),
        ("https://me:a/secret@example.org/x", r"https://\.\.\. is not a URL; .*netrc"),
        ("https://me:secret@[::1/x", r"https://\.\.\. is not a URL; .*netrc"),
        ("ftp://me:a/secret@example.org/x", r"ftp://\.\.\. is not a URL"),
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


@pytest.mark.parametrize("length", ["many", "-1", "12abc", "1e3", "\xb2"])
def test_a_length_that_is_no_number_is_ignored(server, get, length):
    server.headers["Content-Length"] = length
    assert get() == CONTENT


def http_date(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("7", 7),
        (90, 90),
        ("86400", 120),
        (86400, 120),
        ("0", 1),
        (-9, 1),
        ("soon", 1),
        ("9" * 400, 120),
        ("Wed, 99 Foo 2026 99:99:99 GMT", 1),
    ],
)
def test_a_server_that_asks_to_wait_is_given_the_time(server, get, waits, log, retry_after, wait):
    if isinstance(retry_after, int):  # the date in so many seconds
        retry_after = http_date(retry_after)
    server.plan = [(429, {"Retry-After": retry_after})]
    assert get() == CONTENT
    assert waits == [pytest.approx(wait, abs=60 if 9 < wait < 120 else 0)]
    expected = f"{server.url}/file: HTTP 429 Too Many Requests; trying again in {waits[0]:.0f} s"
    assert log.messages == [expected]


def test_a_server_that_compresses_against_what_was_asked(server, get, tmp_path):
    server.headers["Content-Encoding"] = "gzip"
    server.files["/file"] = gzip.compress(CONTENT)
    server.plan = ["cut"]
    assert get() == CONTENT
    assert server.ranges == [None, None], "nothing is resumed in the middle of a compression"
    # A .gz file that the server only calls encoded, as Apache does.
    server.files["/file.tar.gz"] = CONTENT
    fetch(f"{server.url}/file.tar.gz", tmp_path / "q.part")
    assert (tmp_path / "q.part").read_bytes() == CONTENT
    server.headers["Content-Encoding"] = "br"
    with pytest.raises(UserError, match="in the encoding br, which was not asked for"):
        get()


def test_a_login_of_netrc_is_used_and_never_shown(server, get, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password geheim")
    monkeypatch.setenv("NETRC", str(netrc))
    server.login = "Basic bWU6Z2VoZWlt"  # me:geheim
    assert get() == CONTENT
    server.login = "another"
    with pytest.raises(UserError, match=r"HTTP 401 .*~/\.netrc") as caught:
        get()
    assert "geheim" not in str(caught.value)


def test_a_proxy_is_used_and_its_password_never_shown(server, tmp_path, monkeypatch, waits, log):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:geheim@"))
    server.files["http://localhost:9/file"] = CONTENT
    fetch("http://localhost:9/file", tmp_path / "p.part")
    assert (tmp_path / "p.part").read_bytes() == CONTENT
    assert server.paths == ["http://localhost:9/file"]
    monkeypatch.setenv("http_proxy", "http://me:geheim@127.0.0.1:9")
    with pytest.raises(UserError, match="last with: Connection refused") as caught:
        fetch("http://localhost:9/file", tmp_path / "q.part", sleep=waits.append)
    assert "geheim" not in str(caught.value) + log.text


def certificate(folder, host, days):
    """The context of a server with a certificate of its own; it is `folder`/cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "cert.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


HERE = x509.IPAddress(ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    ("host", "days", "trusted", "reason"),
    [
        (HERE, 9, True, None),
        (HERE, 9, False, "self-signed certificate"),
        (x509.DNSName("example.org"), 9, True, "certificate is not valid for '127.0.0.1'"),
        (HERE, -9, True, "certificate has expired"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_told_in_a_sentence(
    tmp_path, monkeypatch, waits, host, days, trusted, reason
):
    context = certificate(tmp_path, host, days)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    with Server(context).running() as server:
        server.files["/file"] = CONTENT
        if reason:
            with pytest.raises(UserError, match=f"not accepted: .*{reason}; ") as caught:
                fetch(f"{server.url}/file", tmp_path / "p.part", sleep=waits.append)
            assert str(caught.value).startswith(f"{server.url}/file: the certificate")
        else:
            fetch(f"{server.url}/file", tmp_path / "p.part")
            assert (tmp_path / "p.part").read_bytes() == CONTENT
    assert waits == [], "another attempt would end the same"


def test_https_to_a_server_without_it_is_told_in_a_sentence(server, tmp_path, waits):
    with pytest.raises(UserError, match="last with: the server does not speak TLS at this port"):
        fetch(server.url.replace("http", "https"), tmp_path / "p.part", sleep=waits.append)


def test_a_full_disk_names_the_partial_download(server, tmp_path, monkeypatch):
    server.files["/file"] = CONTENT
    monkeypatch.setattr(transfer, "progress", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*/p\.part'"):
        fetch(f"{server.url}/file", tmp_path / "p.part")


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
