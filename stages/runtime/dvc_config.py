"""What DVC's configuration names on this machine, for a container in which DVC itself runs.

DVC need not be installed here: its files are read as they are. No library is imported.
"""

import configparser
import os
import re
from pathlib import Path

from alexnet.errors import UserError
from stages.runtime.mounts import HOME, PROJECT, Mount, mounted

OWN = PROJECT / ".dvc"  # in the container
SECRETS = {"s3": ".aws", "ssh": ".ssh"}  # by the scheme of a remote, in the user's home


class DvcConfig:
    """DVC's configuration: mounts, variables (NAME=value) and the schemes of its remotes.

    Raises UserError for one that DVC cannot follow in a container.
    """

    def __init__(self) -> None:
        self.mounts: list[Mount] = []
        self.variables: list[str] = []
        self.schemes: set[str] = set()
        self._cache, self._cache_base, self._cache_type = "cache", OWN, ""
        # Each overrides those before it (dvc/config.py, dvc/dirs.py).
        for name, folder in _user_folders().items():
            if self._read(folder / "config", folder):
                self.mounts.append(Mount(folder.resolve(), folder))
                self.variables.append(f"{name}={folder}")
        for file in ("config", "config.local"):
            self._read(Path(".dvc", file), OWN)
        self._mount_cache()
        for scheme in self.schemes & SECRETS.keys():
            secret = Path(os.path.expanduser("~"), SECRETS[scheme])
            if secret.is_dir():
                self.mounts.append(Mount(secret.resolve(), HOME / secret.name))

    def _read(self, file: Path, base: Path) -> bool:
        """Add what a file says, whose relative paths begin at `base`; False without the file."""
        if not file.is_file():
            return False
        lines = map(str.strip, file.read_text(encoding="utf-8").splitlines())
        values = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            values.read_string("\n".join(lines))  # an indented line would go on with the one above
        except configparser.Error as error:
            raise UserError(f"{file} is no valid configuration of DVC: {error}") from None
        for section in values.values():
            options = {name: value.strip("\"'") for name, value in section.items()}
            if section.name == "cache":
                self._cache_type = options.get("type", self._cache_type)
                if "dir" in options:
                    self._cache, self._cache_base = options["dir"], base
            elif section.name.startswith(("remote", "'remote")) and "url" in options:
                scheme, found, _ = options["url"].partition("://")
                if found:
                    self.schemes.add(scheme)
                else:  # a folder of this machine
                    self.mounts += mounted(options["url"], base, writable=True)
        return True

    def _mount_cache(self) -> None:
        there = Path(os.path.normpath(self._cache_base / self._cache))
        found = list(mounted(self._cache, self._cache_base, writable=True))
        if not found and not there.is_relative_to(PROJECT):
            raise UserError(f"DVC's cache {self._cache} is not there; make that folder")
        self.mounts += found
        kind = re.search("hardlink|symlink|copy", self._cache_type)
        is_same_here = os.path.isabs(self._cache) or self._cache_base != OWN
        if kind and kind[0] == "symlink" and not is_same_here:
            raise UserError(
                "DVC's cache.type is symlink, and its cache has another path in the container: the "
                "links made there would lead to nothing here. Give the cache an absolute path "
                "(`dvc cache dir /PATH`), set cache.type to hardlink, or run `dvc repro` here, "
                "whose stages run in containers"
            )


def _user_folders() -> dict[str, Path]:
    """Where the machine's and the user's configuration are, by the variable that DVC reads."""
    system = os.environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)[0] or "/etc/xdg"
    user = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    defaults = {"DVC_SYSTEM_CONFIG_DIR": system, "DVC_GLOBAL_CONFIG_DIR": user}
    return {
        name: Path(os.environ.get(name) or Path(parent, "dvc")) for name, parent in defaults.items()
    }
