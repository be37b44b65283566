"""One file over HTTPS: retried, resumed where it broke off, never trusted.

What has arrived so far lies in a partial file, with the server's mark of the
version (its ETag or date) beside it. The next attempt, in this run or a later one,
asks for the rest of that same version; a server that cannot give it sends the whole.
"""

import hashlib
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from alexnet.errors import UserError
from alexnet.files import CHUNK_BYTES
from alexnet.progress import progress

NUM_ATTEMPTS = 5
TIMEOUT_SECONDS = (10, 60)  # to connect; between two packets


class NotThereError(UserError):
    """Nothing is at this address: trying again will not help, another address may."""


class _InterruptedError(Exception):
    """This attempt failed in a way that the next one may not."""


class _Session(requests.Session):
    """Follows a redirect only to where we would go ourselves."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target:
            check_url(urljoin(resp.url, target))
        return target


def is_url(source: str) -> bool:
    return "://" in source


def check_url(url: str) -> None:
    """Raises UserError unless it is https (or http on this very machine) without a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http"):
        raise UserError(f"{url}: give an https:// address or a local path")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise UserError(f"{url}: anyone on the way could change what http brings; use https")
    if parts.username or parts.password:
        raise UserError(
            f"https://{parts.hostname}{parts.path}: carries a password, which would end up in "
            "what this pipeline writes; put it in ~/.netrc"
        )


def partial_path(url: str, folder: Path) -> Path:
    """Where the partial download of `url` lies in `folder`."""
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"


def discard_partial(partial: Path) -> None:
    """Remove a partial download, so that the next attempt starts afresh."""
    partial.unlink(missing_ok=True)
    partial.with_suffix(".version").unlink(missing_ok=True)


def fetch(
    url: str,
    partial: Path,
    num_bytes: int | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Fill `partial` with what `url` holds, going on from what is there already.

    With `num_bytes`, the published size, it reads hardly more than that; the caller
    checks size and digest. Raises NotThereError for an address that holds nothing and
    UserError for one that is refused, or that fails NUM_ATTEMPTS times.
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
            _InterruptedError,
            requests.ConnectionError,
            requests.Timeout,
            urllib3.exceptions.HTTPError,
        ) as error:
            reason = str(error)
        except requests.RequestException as error:
            raise UserError(f"{url}: {error}") from None
    raise UserError(
        f"{url}: failed {NUM_ATTEMPTS} times, last with: {reason}. What has arrived is kept; "
        "run again to go on from there, or name a mirror or a local copy in data.source"
    )


def _attempt(session: requests.Session, url: str, partial: Path, num_bytes: int | None) -> None:
    version = partial.with_suffix(".version")
    start = partial.stat().st_size if partial.exists() and version.exists() else 0
    if start and start == num_bytes:
        return
    # A server that compresses on the way would spoil both sizes and digests.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version.read_text(encoding="latin-1")}
    with session.get(url, stream=True, timeout=TIMEOUT_SECONDS, headers=headers) as response:
        if response.status_code == 416 and _content_range(response) == f"*/{start}":
            return  # all of it had arrived
        if response.status_code == 416 or (
            response.status_code == 206 and not _content_range(response).startswith(f"{start}-")
        ):
            discard_partial(partial)
            raise _InterruptedError(f"the server does not go on at byte {start}")
        _check_status(response, url)
        if response.status_code == 200:
            start = 0
            discard_partial(partial)
            _note_version(response, version)
        total = start + int(response.headers.get("Content-Length", 0))
        with (
            partial.open("ab") as file,
            progress(f"{urlsplit(url).path.rpartition('/')[2]} (bytes)", total) as advance,
        ):
            advance(start)
            for block in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(block)
                advance(len(block))
                if num_bytes is not None and file.tell() > num_bytes:
                    return  # not the file we want: don't fill the disk with it


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in (408, 429) or status >= 500:
        raise _InterruptedError(f"HTTP {status} {response.reason}")
    if status in (404, 410):
        raise NotThereError(f"{url}: HTTP {status} {response.reason}")
    if status not in (200, 206):
        raise UserError(f"{url}: HTTP {status} {response.reason}")


def _note_version(response: requests.Response, version: Path) -> None:
    """Keep what If-Range takes: a strong ETag or a date. Without it nothing is resumed."""
    tag = response.headers.get("ETag", "W/")
    mark = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
    if mark:
        version.write_text(mark, encoding="latin-1")


def _content_range(response: requests.Response) -> str:
    return response.headers.get("Content-Range", "").removeprefix("bytes ")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
