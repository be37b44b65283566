"""After a SIGKILL the runner says whether the kernel had run out of memory."""

import os
import sys

import pytest

from stages.runtime import killed
from tests.stages.projects import finish, start


@pytest.mark.parametrize("counter", ["vmstat", "memory.events", None])
def test_a_kill_for_lack_of_memory_is_told_from_another(counter, tmp_path, monkeypatch):
    (tmp_path / "cgroup").write_text("3:memory:/old\n0::/a/b\n")
    (tmp_path / "a/b").mkdir(parents=True)
    files = {"vmstat": tmp_path / "vmstat", "memory.events": tmp_path / "a/b/memory.events"}
    for path in files.values():
        path.write_text("low 0\noom 9\noom_kill 3\noom_group_kill 1\n")
    monkeypatch.setattr(killed, "VMSTAT", files["vmstat"])
    monkeypatch.setattr(killed, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(killed, "CGROUPS", tmp_path)
    before = killed.count_oom_kills()
    if counter:
        files[counter].write_text("low 0\noom 10\noom_kill 4\noom_group_kill 1\n")
        expected = "train was killed by the kernel, which ran out of memory"
    else:
        expected = "train was killed by a SIGKILL from outside; the kernel did not run out of"
    text = killed.explain_kill("train", before)
    assert text.startswith(expected)
    assert ("a smaller train.batch_size" in text) == bool(counter)
    assert text.endswith("Started again, it resumes from its latest checkpoint")


def test_the_runner_explains_a_kill(tmp_path):
    """Of a container; its client ends with the same code as a stage on the host."""
    (tmp_path / "podman").write_text(
        '#!/bin/sh\n[ "$1" = image ] && echo "sha256:abc []"\n[ "$1" != run ] || exit 137\n'
    )
    (tmp_path / "podman").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "STAGE_RUNTIME": "podman"}
    runner = start(tmp_path, sys.executable, "-m", "stages.runtime.runner", "gate", **environment)
    code, output = finish(runner)
    assert code == 137
    assert "error: gate was killed by " in output
