"""What is installed is pinned by its digest, and the two locks agree."""

import re

from tests.conftest import ROOT


def pins(name: str) -> dict[str, set[str]]:
    """{package==version: its digests}, wherever it is for."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line[:1] not in (" ", "#"):
            package = line.split()[0]
            found.setdefault(package, set())
        elif digest := re.search(r"--hash=(sha256:[0-9a-f]{64})", line):
            found[package].add(digest[1])
    return found


def test_serving_takes_a_part_of_what_training_takes():
    train, serve = pins("requirements.lock"), pins("serve.lock")
    assert len(train) > len(serve) > 10
    assert all("==" in package and digests for package, digests in train.items())
    for package, digests in serve.items():
        assert train[package] == digests
    assert any(package.startswith("onnxruntime==") for package in serve)
    assert not any(package.startswith(("torch", "nvidia", "dvc")) for package in serve)
