import pytest
import torch

from alexnet.network.model import AlexNetOneWeirdTrick
from alexnet.pretrained import artifact, published
from tests.data.conftest import Server
from tests.runs import narrow


@pytest.fixture
def server():
    with Server().running() as server:
        yield server


@pytest.fixture
def small(monkeypatch):
    """Published weights and artifacts are of networks with a 16th of the channels."""

    def of_imagenet(metadata, dropout):
        return narrow(len(metadata.classes), variant=AlexNetOneWeirdTrick)

    monkeypatch.setattr(published, "build", of_imagenet)
    monkeypatch.setattr(artifact, "build", lambda metadata, dropout: narrow())


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Save an object as torchvision saves its weights, and take its file for the published one."""

    def save(value, **options):
        path = tmp_path / "alexnet.pth"
        torch.save(value, path, **options)
        monkeypatch.setattr(published, "NUM_BYTES", path.stat().st_size)
        monkeypatch.setattr(published, "SHA256", published.sha256(path))
        return path

    return save
