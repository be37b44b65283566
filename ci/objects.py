"""The objects of the outputs that dvc.lock names: which of them DVC's cache or its remote has.

DVC takes the files of a folder for stored where the folder's listing is. Where a push was cut
off, or a bucket's rule has removed old objects, they are not.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from alexnet.errors import UserError
from stages.runtime.dvc_files import Out, cache_folder, object_in, read_listing


class Remote:
    """The default DVC remote. Its methods raise whatever its kind raises."""

    def __init__(self, repo: Repo) -> None:
        self._place = repo.cloud.get_remote()
        self._store = repo.cloud.get_remote_odb()
        self._cache = repo.cache.local

    def explain_missing(self) -> str:
        """Why there is no remote, which DVC takes for an empty one: its folder or bucket is not.

        Empty if it is there.
        """
        is_folder = self._place.fs.protocol == "ssh"
        try:
            self._place.fs.ls(self._place.path if is_folder else self._store.path)
        except FileNotFoundError as error:  # also for a bucket that is still empty
            if is_folder:
                return "There is no such folder on the server; make it if the remote is a new one"
            answer = getattr(error.__cause__, "response", {})  # S3's
            if answer.get("Error", {}).get("Code") == "NoSuchBucket":
                return "There is no such bucket"
        return ""

    def holds_any(self, outs: Iterable[Out]) -> bool:
        """Whether anything of these is on the remote itself; else it may be another one."""
        digests = [md5 for out in outs for md5 in objects(out).values()]
        return bool(list(self._store.oids_exist(digests)))

    def lacks(self, out: Out) -> dict[Path, str]:
        """What neither the cache nor the remote has of an output: {path: digest}."""
        absent = self._absent(
            {path: md5 for path, md5 in objects(out).items() if not _cached(md5).exists()}
        )
        if out.path in absent or not out.md5.endswith(".dir") or read_listing(out.md5):
            return absent
        # The cache gets a listing after all files of the folder: this one is on the remote alone.
        tree = Tree.load(self._store, HashInfo("md5", out.md5))
        files = {out.path.joinpath(*key): info.value for key, _, info in tree}
        return self._absent({path: md5 for path, md5 in files.items() if not _cached(md5).exists()})

    def complete(self, outs: Iterable[Out]) -> int:
        """Store what the cache has of these outputs and the remote lacks; returns the number."""
        absent = self._absent({path: md5 for out in outs for path, md5 in objects(out).items()})
        held = {md5 for md5 in absent.values() if _cached(md5).exists()}
        for md5 in held:
            self._store.add(self._cache.oid_to_path(md5), self._cache.fs, md5)
        return len(held)

    def _absent(self, digests: dict[Path, str]) -> dict[Path, str]:
        found = set(self._store.oids_exist(list(digests.values()))) if digests else set()
        return {path: md5 for path, md5 in digests.items() if md5 not in found}


@contextmanager
def opened_remote(description: str, verb: str) -> Iterator[Remote]:
    """The remote, in the block. What it raises there becomes a UserError with the reason."""
    try:
        with closing(Repo()) as repo:
            yield Remote(repo)
    except UserError:
        raise
    except Exception as error:
        raise unusable(description, verb, error) from None


def unusable(description: str, verb: str, reason: object) -> UserError:
    """The error that a remote cannot be read or written."""
    return UserError(
        f"{description} cannot be {verb}; check its address, the network and the credentials. "
        f"{reason}"
    )


def objects(out: Out) -> dict[Path, str]:
    """The digest of an output and, for a folder whose listing is in the cache, of its files."""
    files = (read_listing(out.md5) or {}) if out.md5.endswith(".dir") else {}
    return {out.path: out.md5} | {out.path / name: md5 for name, md5 in files.items()}


def is_cached(out: Out) -> bool:
    """Whether the cache has the output as a whole."""
    return all(_cached(md5).exists() for md5 in objects(out).values())


def _cached(md5: str) -> Path:
    return object_in(cache_folder(), md5)
