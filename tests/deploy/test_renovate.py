"""What Renovate needs to make a lock again: the command in its head, in the form that it reads."""

import json
import re
import shlex

import pytest

from tests.conftest import ROOT

SETTINGS = json.loads((ROOT / "renovate.json").read_text())
(PATTERN,) = SETTINGS["pip-compile"]["managerFilePatterns"]
LOCKS = [path for path in ROOT.glob("*.lock") if re.search(PATTERN.strip("/"), path.name)]
# Of its manager pip-compile, for uv (renovate 44.121, pip-compile/common.js). Any other option
# makes it skip the file.
HEAD = re.compile(r"(?:#.*\n)+?#    uv pip compile (.*)\n")
ALONE = {"--universal", "--generate-hashes", "--all-extras", "--no-strip-extras"}
WITH_VALUE = {"--constraint", "--extra", "--group", "--output-file", "--python-version"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_each_lock_names_its_command(lock):
    head = HEAD.match(lock.read_text())
    assert head, "Renovate reads uv's header: no --no-header"
    options = shlex.split(head[1])
    sources = [option for option in options if not option.startswith("-")]
    assert set(sources) <= {"pyproject.toml", "image.in"}, "values need an equals sign: --extra=x"
    for option in options:
        name, equals, _ = option.partition("=")
        assert name in sources or name in (WITH_VALUE if equals else ALONE), f"it skips {option}"
    assert f"--output-file={lock.name}" in options


def test_no_lock_is_forgotten():
    assert {lock.name for lock in LOCKS} >= {
        "image.lock",
        "requirements.lock",
        "serve.lock",
        "train.lock",
    }
