"""The whole pipeline in environments that people have: the same bytes as anywhere else."""

import os
import subprocess

import pytest

from tests.chaos.project import Project, undisturbed

pytestmark = pytest.mark.slow

# Each second of the real clock is one backwards.
CLOCK = """
import time
_now, _start = time.time, time.time()
time.time = lambda: _start - (_now() - _start)
"""
RUN = "make repro READY="


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """After an undisturbed run."""
    project = Project(tmp_path_factory.mktemp("environments"))
    undisturbed(project)
    return project


def turkish() -> str:
    """A Turkish locale, in which "I" is no capital "i"; skips where there is none."""
    names = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split()
    found = [name for name in names if name.lower().replace("-", "") == "tr_tr.utf8"]
    return found[0] if found else pytest.skip("no Turkish locale")


@pytest.mark.parametrize("case", ["umask", "noexec", "turkish", "timezone", "clock"])
def test_the_bytes_are_the_same(case, project, tmp_path, monkeypatch):
    command = RUN
    if case == "umask":
        command = f"umask 077; {RUN}"
    elif case == "noexec":
        if os.getuid():
            pytest.skip("mounts, which needs root")
        command = f"mount -t tmpfs -o noexec none {project.base / 'tmp'}; {RUN}"
    elif case == "turkish":
        monkeypatch.setenv("LC_ALL", turkish())
    elif case == "timezone":
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    elif case == "clock":
        (tmp_path / "sitecustomize.py").write_text(CLOCK)
        command = f"PYTHONPATH={tmp_path}:$PYTHONPATH {RUN}"
    shell = ("unshare", "--mount", "sh", "-ec") if case == "noexec" else ("sh", "-ec")
    project.reset()
    assert project.run(*shell, command) == 0, project.output()
    assert project.differences() == []
