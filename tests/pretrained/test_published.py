"""torchvision's weights of ImageNet: which they are, and that nothing else is taken for them."""

import json

import pytest
import torch
import torchvision
from torchvision.models import AlexNet_Weights
from torchvision.transforms import InterpolationMode

from alexnet.config_checks import IMAGENET_SETTINGS
from alexnet.data import transfer
from alexnet.errors import UserError
from alexnet.network.model import AlexNetOneWeirdTrick
from alexnet.network.weights import load_weights
from alexnet.pretrained import published
from alexnet.pretrained.published import read_imagenet
from tests.conftest import write_params
from tests.photos import PHOTO
from tests.runs import narrow


def test_the_constants_are_torchvisions():
    theirs = AlexNet_Weights.IMAGENET1K_V1
    transforms = theirs.transforms()
    assert theirs.url == published.ADDRESS
    assert published.SHA256[:8] == theirs.url.removesuffix(".pth").rpartition("-")[2]
    assert theirs.meta["_file_size"] == round(published.NUM_BYTES / 2**20, 3)
    assert len(published.METADATA.classes) == len(theirs.meta["categories"])
    assert list(published.METADATA.mean) == transforms.mean
    assert list(published.METADATA.std) == transforms.std
    assert transforms.crop_size == [published.METADATA.image_size]
    assert transforms.interpolation == InterpolationMode.BILINEAR
    assert {
        "model.variant": published.METADATA.variant,
        "data.channels": published.METADATA.channels,
        "data.image_size": transforms.resize_size[0],
        "data.resize": "torchvision",
        "train.crop_size": published.METADATA.image_size,
    } == IMAGENET_SETTINGS


def write_imagenet_params(folder, source):
    write_params(
        folder,
        **{
            "_".join(key.split(".")).replace("_", "__", 1): it
            for key, it in IMAGENET_SETTINGS.items()
        },
        train__crop_padding=0,
        model__start_from="imagenet",
        model__start_source=source,
    )


@pytest.mark.parametrize("is_zip", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_stage_gives_torchvisions_logits_bit_for_bit(tmp_path, run, save, is_zip):
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(weights=None).eval()
    path = save(theirs.state_dict(), _use_new_zipfile_serialization=is_zip)
    write_imagenet_params(tmp_path, str(path))
    done = run("pretrained")
    assert done.returncode == 0, done.stderr
    ours, metadata = load_weights(tmp_path / "models/pretrained.safetensors")
    assert metadata == published.METADATA
    record = json.loads((tmp_path / "models/pretrained.json").read_text())
    assert record["parent"] == {"kind": "imagenet", "sha256": published.SHA256}
    prepare = AlexNet_Weights.IMAGENET1K_V1.transforms()
    x = torch.stack([prepare(PHOTO.crop((left, 0, left + 300, 427))) for left in (0, 150, 340)])
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


class Hostile:
    """What a pickle can hold: a call, made when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_with_code_is_refused_in_one_line_and_not_run(tmp_path, run, save):
    path = save({"features.0.weight": Hostile(tmp_path / "was run")})
    write_imagenet_params(tmp_path, str(path))
    done = run("pretrained")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {path} does not hold tensors alone (UnpicklingError); nothing in it was run\n"
    )
    assert not (tmp_path / "was run").exists()
    assert not list((tmp_path / "models").iterdir())


def test_another_file_is_refused_before_anything_opens_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    path = tmp_path / "x.pth"
    path.write_bytes(b"x")
    with pytest.raises(UserError, match=r"x\.pth has 1 bytes, and the published file 244,408,911"):
        read_imagenet(str(path), tmp_path)
    monkeypatch.setattr(published, "NUM_BYTES", 1)
    with pytest.raises(UserError, match=r"x\.pth has the SHA-256 2d711642.*; get it from https://"):
        read_imagenet(str(path), tmp_path)
    with pytest.raises(UserError, match=r"^model\.start_source: .*/no does not exist"):
        read_imagenet(str(tmp_path / "no"), tmp_path)
    with pytest.raises(UserError, match="use https"):
        read_imagenet("http://example.org/x.pth", tmp_path)


def torchvision_state():
    state = narrow(1000, variant=AlexNetOneWeirdTrick).state_dict()
    return {old: state[new] for old, new in published.NAMES.items()}


def damaged(name, change):
    state = torchvision_state()
    state[name] = change(state[name])
    return state


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [1], "does not hold the tensors"),
        (lambda: {"more": torch.zeros(1)} | torchvision_state(), "does not hold the tensors"),
        (
            lambda: damaged("features.3.bias", lambda it: it[1:]),
            r"features.3.bias .* shape \(12,\)",
        ),
        (lambda: damaged("features.3.bias", lambda it: it.double()), "features.3.bias .* float32"),
        (lambda: damaged("classifier.1.bias", lambda it: it / 0), "classifier.1.bias holds values"),
    ],
)
def test_other_tensors_are_refused(small, save, tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        read_imagenet(str(save(make())), tmp_path)


def test_a_download_is_resumed_and_another_file_discarded(
    small, save, server, tmp_path, monkeypatch
):
    content = save(torchvision_state()).read_bytes()
    server.files["/x.pth"], server.plan = content, ["cut"]
    monkeypatch.setattr(transfer, "NUM_ATTEMPTS", 1)
    partials, address = tmp_path / ".partial", f"{server.url}/x.pth"
    with pytest.raises(UserError, match=r"run again to resume, or .* in model\.start_source"):
        read_imagenet(address, partials)
    network = read_imagenet(address, partials)
    assert server.ranges == [None, f"bytes={len(content) // 2}-"]
    assert network.model.conv1.weight.isfinite().all()
    assert not partials.exists()
    server.files["/x.pth"] = content[:-1] + b"x"
    with pytest.raises(UserError, match=f"{address} has the SHA-256"):
        read_imagenet(address, partials)
    assert not list(partials.iterdir()), "it would never become the right one"
