"""Download one file over HTTPS, with retries and resume.

The bytes received so far are kept in a partial file, beside the validator of their version
(ETag or date). The next attempt, in this run or a later one, requests the rest of that
version; a server that cannot send it sends the whole file.

The `pooch` package would not shorten this: it cannot resume, limit the size, check where a
redirect leads, or try a second mirror, and it retries what cannot succeed (a 404). What
would be left to it is a loop over `requests` and a digest, a few lines of ours.
"""

import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from alexnet.errors import UserError
from alexnet.files import CHUNK_BYTES
from alexnet.progress import progress
from alexnet.scratch import naming_errors

log = logging.getLogger(__name__)

NUM_ATTEMPTS = 5
TIMEOUT_SECONDS = (10, 60)  # to connect; between two packets
MAX_WAIT_SECONDS = 120  # whatever the server asks for
MAX_RATIO = 10  # of the published size: no other compression of a published file is as large


class NotFoundError(UserError):
    """Nothing is at this address. A retry does not help; another address may."""


class _TransientError(Exception):
    """This attempt failed, but the next one may succeed, after `wait_seconds`."""

    def __init__(self, reason: str, wait_seconds: float = 0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class _Session(requests.Session):
    """Follows a redirect only to an address that `check_url` accepts."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            try:
                target = urljoin(resp.url, target)
            except ValueError:
                raise UserError(f"{resp.url}: redirects to what is no URL") from None
            check_url(target)
        return target


def is_url(source: str) -> bool:
    return "://" in source


def check_url(url: str) -> None:
    """Raises UserError unless it is https (or http to this machine), without a password."""
    shown, parts = _without_login(url), _split(url)
    # A # in a password ends the host: the rest of the password is then the fragment.
    if parts.username or parts.password or "@" in parts.fragment:
        raise UserError(
            f"{shown}: has a password, which would end up in the files that the pipeline writes; "
            "put it in ~/.netrc"
        )
    if parts.scheme not in ("https", "http"):
        raise UserError(f"{shown}: give an https:// address or a local path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise UserError(f"{shown}: http is not protected against changes on the way; use https")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises ValueError as well, of a password with a slash for one
    except ValueError as error:
        shown = _without_login(url)
        reason = f" ({error})" if shown == url else "; a login belongs in ~/.netrc"
        raise UserError(f"{shown} is not a URL{reason}") from None
    return parts


def _without_login(url: str) -> str:
    """The address for an error; of one that may hold a login, wherever, the scheme alone."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://..." if "@" in rest else url


def partial_path(url: str, folder: Path) -> Path:
    """The path in `folder` of the partial download of `url`."""
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"


def discard_partial(partial: Path) -> None:
    """Remove a partial download, so that the next attempt starts over."""
    partial.unlink(missing_ok=True)
    partial.with_suffix(".validator").unlink(missing_ok=True)


def fetch(
    url: str,
    partial: Path,
    num_bytes: int | None = None,
    sleep: Callable[[float], object] = time.sleep,
    key: str = "data.source",
) -> None:
    """Download `url` to `partial`, resuming from the bytes that are already there.

    num_bytes: the published size; the download stops at MAX_RATIO times that. The caller
    verifies the file. key: the parameter that can name another source. Raises NotFoundError for
    HTTP 404 or 410, and UserError for a URL, a certificate or a response that is not accepted, or
    after NUM_ATTEMPTS failures.
    """
    check_url(url)
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(NUM_ATTEMPTS):
        wait = 2.0**attempt
        try:
            with _Session() as session:
                _attempt(session, url, partial, num_bytes)
            return
        except _TransientError as error:
            reason, wait = str(error), max(wait, error.wait_seconds)
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            reason = _explain(error)
            if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
                raise UserError(
                    f"{url}: the certificate of the server is not accepted: {reason}; correct this "
                    "machine's clock, or name an authority of your own in REQUESTS_CA_BUNDLE"
                ) from None
        except requests.RequestException as error:
            raise UserError(f"{url}: {error}") from None
        if attempt + 1 < NUM_ATTEMPTS:
            wait = min(wait, MAX_WAIT_SECONDS)
            log.info("%s: %s; trying again in %.0f s", url, reason, wait)
            sleep(wait)
    raise UserError(
        f"{url}: failed {NUM_ATTEMPTS} times, last with: {reason}. The part received is kept; "
        f"run again to resume, or name a mirror or a local copy in {key}"
    )


def _explain(error: Exception) -> str:
    """The sentence in the innermost cause, without the layers of the libraries around it."""
    cause = list(_causes(error))[-1]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message).rstrip(".")
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS at this port"
    return (getattr(cause, "strerror", None) or str(cause)).rpartition(">: ")[2]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, outermost first."""
    inside = [getattr(error, "reason", None), error.__cause__, error.__context__, *error.args]
    yield error
    for cause in inside:
        if isinstance(cause, BaseException):
            yield from _causes(cause)
            return


def _attempt(session: requests.Session, url: str, partial: Path, num_bytes: int | None) -> None:
    validator = partial.with_suffix(".validator")
    start = partial.stat().st_size if partial.exists() and validator.exists() else 0
    if start and start == num_bytes:
        return
    # A server that compresses on the way would change size and digest.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator.read_text(encoding="latin-1")}
    with session.get(url, stream=True, timeout=TIMEOUT_SECONDS, headers=headers) as response:
        if response.status_code == 416 and _content_range(response) == f"*/{start}":
            return  # the partial file was complete
        if response.status_code == 416 or (
            response.status_code == 206 and not _content_range(response).startswith(f"{start}-")
        ):
            discard_partial(partial)
            raise _TransientError(f"the server does not resume at byte {start}")
        _check_status(response, url)
        is_encoded = _is_encoded(response, url)
        if response.status_code == 200:
            start = 0
            discard_partial(partial)
            if not is_encoded:
                _save_validator(response, validator)
        length = response.headers.get("Content-Length", "")
        total = start + (int(length) if length.isascii() and length.isdecimal() else 0)
        with (
            naming_errors(partial),
            partial.open("ab") as file,
            progress(f"{urlsplit(url).path.rpartition('/')[2]} (bytes)", total, start) as advance,
        ):
            for block in response.raw.stream(CHUNK_BYTES, decode_content=is_encoded):
                file.write(block)
                advance(len(block))
                if num_bytes is not None and file.tell() > MAX_RATIO * num_bytes:
                    return  # not the published file: don't fill the disk with it
        # A server may answer a range with less than was asked (RFC 9110, 15.3.7).
        whole = _content_range(response).rpartition("/")[2]
        is_told = response.status_code == 206 and whole.isascii() and whole.isdecimal()
        if is_told and partial.stat().st_size < int(whole):
            raise _TransientError("the server sent less than the rest")


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise _TransientError(f"HTTP {status} {response.reason}", _asked_wait(response))
    if status in (404, 410):
        raise NotFoundError(f"{url}: HTTP {status} {response.reason}")
    if status not in (200, 206):
        login = "; a login belongs in ~/.netrc" if status in (401, 403, 407) else ""
        raise UserError(f"{url}: HTTP {status} {response.reason}{login}")


def _asked_wait(response: requests.Response) -> float:
    """The seconds that the server asks to wait, as a number or a date; 0 where it does not."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdecimal():
        return float(asked[:9])
    try:
        date = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):
        return 0
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _is_encoded(response: requests.Response, url: str) -> bool:
    """Whether the server has compressed the file on the way, against what was asked.

    Many servers call a .gz file encoded that they send as it is.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise UserError(
            f"{url}: the server sends it in the encoding {encoding}, which was not asked for; "
            "download the file in another way and name the local path"
        )
    return "gzip" in encoding and not urlsplit(url).path.endswith((".gz", ".tgz"))


def _save_validator(response: requests.Response, path: Path) -> None:
    """Save a strong ETag or a date, for If-Range. Without one, nothing is resumed."""
    tag = response.headers.get("ETag", "W/")
    validator = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
    if validator:
        path.write_text(validator, encoding="latin-1")


def _content_range(response: requests.Response) -> str:
    return response.headers.get("Content-Range", "").removeprefix("bytes ")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
