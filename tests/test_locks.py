"""What is installed is pinned by its digest, and the locks agree."""

import re

import pytest

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


@pytest.mark.parametrize("name", ["train.lock", "serve.lock", "image.lock"])
def test_each_lock_is_a_part_of_the_developers(name):
    every, some = pins("requirements.lock"), pins(name)
    assert len(every) > len(some) > 10
    assert all("==" in package and digests for package, digests in every.items())
    for package, digests in some.items():
        assert every[package] == digests


def test_the_images_hold_what_they_need():
    """A model's receiver needs no PyTorch, and training none of the developers' tools."""
    train, serve = names("train.lock"), names("serve.lock")
    assert {"torch", "dvc", "dvc-s3", "dvc-ssh", "tensorboard", "onnx"} <= train
    assert not train & {"pytest", "mypy", "moto", "zizmor", "hypothesis", "torchvision", "ruff"}
    assert {"onnxruntime", "fastapi", "model-signing"} <= serve
    assert not any(name.startswith(("torch", "nvidia", "dvc")) for name in serve)


def names(lock: str) -> set[str]:
    return {package.partition("==")[0] for package in pins(lock)}
