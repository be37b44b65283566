"""Download one file over HTTPS, with retries and resume.

The bytes received so far are kept in a partial file, beside the validator of their version
(ETag or date). The next attempt, in this run or a later one, requests the rest of that
version; a server that cannot send it sends the whole file.

The `pooch` package would not shorten this: it cannot resume, limit the size, check where a
redirect leads, or try a second mirror, and it retries what cannot succeed (a 404). What
would be left to it is a loop over `requests` and a digest, a few lines of ours.
"""

import hashlib
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3

from alexnet.errors import UserError
from alexnet.files import CHUNK_BYTES
from alexnet.progress import progress
from alexnet.scratch import naming_errors

NUM_ATTEMPTS = 5
TIMEOUT_SECONDS = (10, 60)  # to connect; between two packets


class NotFoundError(UserError):
    """Nothing is at this address. A retry does not help; another address may."""


class _TransientError(Exception):
    """This attempt failed, but the next one may succeed."""


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
    parts = _split(url)
    if parts.username or parts.password:
        raise UserError(
            f"{parts.scheme}://{parts.hostname}{parts.path}: has a password, which would end up in "
            "the files that the pipeline writes; put it in ~/.netrc"
        )
    if parts.scheme not in ("https", "http"):
        raise UserError(f"{url}: give an https:// address or a local path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise UserError(f"{url}: http is not protected against changes on the way; use https")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UserError(f"{url} is not a URL ({error})") from None


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
) -> None:
    """Download `url` to `partial`, resuming from the bytes that are already there.

    num_bytes: the published size; the download stops soon after it. The caller verifies
    size and digest. Raises NotFoundError for HTTP 404 or 410, and UserError for a URL or
    a response that is not accepted, or after NUM_ATTEMPTS failures.
    """
    check_url(url)
    partial.parent.mkdir(parents=True, exist_ok=True)
    reason = ""
    for attempt in range(NUM_ATTEMPTS):
        if attempt:
            sleep(2.0 ** (attempt - 1))
        try:
            with _Session() as session:
                _attempt(session, url, partial, num_bytes)
            return
        except (
            _TransientError,
            requests.ConnectionError,
            requests.Timeout,
            urllib3.exceptions.HTTPError,
        ) as error:
            reason = str(error)
        except requests.RequestException as error:
            raise UserError(f"{url}: {error}") from None
    raise UserError(
        f"{url}: failed {NUM_ATTEMPTS} times, last with: {reason}. The part received is kept; "
        "run again to resume, or name a mirror or a local copy in data.source"
    )


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
        if response.status_code == 200:
            start = 0
            discard_partial(partial)
            _save_validator(response, validator)
        total = start + int(response.headers.get("Content-Length", 0))
        with (
            naming_errors(partial),
            partial.open("ab") as file,
            progress(f"{urlsplit(url).path.rpartition('/')[2]} (bytes)", total, start) as advance,
        ):
            for block in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(block)
                advance(len(block))
                if num_bytes is not None and file.tell() > num_bytes:
                    return  # not the published file: don't fill the disk with it


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise _TransientError(f"HTTP {status} {response.reason}")
    if status in (404, 410):
        raise NotFoundError(f"{url}: HTTP {status} {response.reason}")
    if status not in (200, 206):
        raise UserError(f"{url}: HTTP {status} {response.reason}")


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
