"""The commands that mend damaged files: short, and such that the stages accept what they leave."""

from pathlib import Path

import pytest

from alexnet.errors import UserError
from stages.runtime.damage import explain_damage
from stages.runtime.dvc_files import Out, cache_folder

MD5 = 32 * "0"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty one."""
    monkeypatch.setattr("stages.runtime.damage.cache_folder", lambda: tmp_path)


def test_many_damaged_files_are_mended_as_a_whole(cache):
    wrong = {Path(f"data/{number}"): MD5 for number in range(1000)}
    lines = explain_damage(Out("make", Path("data"), "0.dir"), wrong).splitlines()
    assert lines[10:12] == ["and 990 more files", "These commands mend it:"]
    assert lines[12] == "  rm -rf data"


def test_without_its_list_the_files_of_a_download_are_removed_too(cache):
    """It would refuse to replace them: they may be a person's."""
    source = Path("data/raw/source.json")
    text = explain_damage(Out("download", source, MD5), {source: MD5})
    assert "rm -rf data/raw/source.json data/raw/files\n  dvc repro download" in text


def test_a_dvc_outside_of_this_python_is_asked_for_its_cache(tmp_path, monkeypatch):
    """Such as one that pipx has installed."""
    monkeypatch.setattr("stages.runtime.dvc_files.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    (tmp_path / "dvc").write_text("#!/bin/sh\necho /shared/$1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="put it on the PATH"):
        cache_folder()
    (tmp_path / "dvc").chmod(0o755)
    assert cache_folder() == Path("/shared/cache")
