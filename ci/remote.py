"""The DVC remote of a job."""

import os
import re
import subprocess
import sys
from pathlib import Path

from dvc.config import Config

from alexnet.errors import UserError

# Environment variables: a remote, the private key for one behind SSH (itself, no path), and a
# folder for DVC's cache (default: .dvc/cache).
URL = "DVC_REMOTE_URL"
KEY = "DVC_SSH_KEY"
CACHE = "DVC_CACHE_DIR"
KEY_FILE = Path(".dvc/tmp/ssh_key")  # which git ignores; the job removes it


def find_remote() -> str:
    """A description of the default remote. Raises UserError if there is none to use.

    A remote and a cache that the environment names are written to .dvc/config.local, the key to
    KEY_FILE: both stay there, for the other commands of a job.
    """
    if cache := os.environ.get(CACHE):
        dvc("cache", "dir", "--quiet", "--local", cache)
    if url := os.environ.get(URL):
        _refuse_password(url, URL)  # before a command line and a file have it
        dvc("remote", "add", "--quiet", "--local", "--force", "--default", "ci", url)
    config = Config.from_cwd()
    name = config["core"].get("remote")
    if name is None:
        raise UserError(
            f"no DVC remote is set; name one with `dvc remote add --default`, or in {URL}"
        )
    url = config["remote"][name]["url"]
    _refuse_password(url, f"the address of the DVC remote {name}")
    if (key := os.environ.get(KEY)) and url.startswith("ssh://"):
        _write_key(key)
        dvc("remote", "modify", "--quiet", "--local", name, "keyfile", str(KEY_FILE.resolve()))
    # DVC takes a missing folder for an empty one: without a disk that should be mounted,
    # everything would be trained again.
    if "://" not in url and not Path(url).is_dir():
        raise UserError(
            f"the DVC remote {name} is in {url}, which is no folder here; mount it, or make "
            "it if the remote is to be a new one"
        )
    return f"the DVC remote {name} ({url})"


def _refuse_password(url: str, what: str) -> None:
    """Raises UserError if the address has a password in it."""
    if re.match(r"[^:]+://[^/@]*:[^/@]*@", url):
        instead = f", and give the private key in {KEY}" if url.startswith("ssh://") else ""
        raise UserError(
            f"{what} has a password in it, which would be in the list of processes and in the "
            f"log; take it out{instead}"
        )


def _write_key(key: str) -> None:
    """Into KEY_FILE, for its owner alone."""
    KEY_FILE.parent.mkdir(parents=True, exist_ok=True)
    KEY_FILE.unlink(missing_ok=True)
    with open(os.open(KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.strip() + "\n")


def dvc(*arguments: str) -> None:
    """Run DVC. Raises UserError with its reason if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed: {_reason(done.stderr)}")
    sys.stderr.write(done.stderr)


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["no reason given"])[-1]


def repro(*arguments: str) -> None:
    """`dvc repro`, whose output is seen while it runs. Raises UserError if it fails."""
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments])
    if done.returncode:
        raise UserError(f"`dvc repro {' '.join(arguments)}` failed; the reason is above")
