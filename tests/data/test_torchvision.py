"""data.resize: torchvision gives the pixels of torchvision's own preprocessing, to 1 of 255."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_sample_images
from torchvision.models import AlexNet_Weights

from alexnet.data.download import download
from alexnet.data.images import resize_and_crop
from alexnet.data.preprocess import preprocess
from alexnet.inference.predictor import Predictor
from tests.artifacts import export_small

from .encoding import encode
from .making import make_config, write_folder

PHOTOS = load_sample_images().images  # uint8 (427, 640, 3) each
WIDE = [(640, 427), (300, 203), (640, 426), (501, 333), (640, 33), (101, 100), (300, 256)]
# A square, one pixel more, offsets of half a pixel; smaller than 256 pixels; of 256.
OTHERS = [(427, 427), (428, 427), (427, 430), (20, 25), (256, 256), (258, 256), (256, 257)]
TALL = [(427, 640), (203, 427), (320, 427), (60, 427), (1, 9)]


def part(photo, size, channels=3):
    """A part of a photograph, from its turned pixels if it is too tall for the others."""
    pixels = np.ascontiguousarray(np.rot90(photo) if size[1] > len(photo) else photo)
    return Image.fromarray(pixels).crop((0, 0, *size)).convert("L" if channels == 1 else "RGB")


def by_torchvision(image, size, crop):
    """Pixels (crop, crop, channels) by the preset of the published weights, not normalised."""
    preset = AlexNet_Weights.IMAGENET1K_V1.transforms
    # Of L, too: one mean for all channels.
    x = preset(crop_size=crop, resize_size=size, mean=(0.0,), std=(1.0,))(image)
    return (x * 255).round().int().permute(1, 2, 0).numpy()


def centre(pixels, crop):
    start = (len(pixels) - crop) // 2
    return pixels[start : start + crop, start : start + crop].astype(int)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "crop"), [(256, 224), (64, 64), (47, 43)])
def test_the_centre_has_the_pixels_of_torchvisions_crop(size, crop, channels):
    """Most are equal. For tall images Pillow may round in another order of its two passes."""
    for sizes, share in ((WIDE, 0.01), (OTHERS, 0.001), (TALL, 0.2)):
        for photo in PHOTOS:
            differing = []
            for width_and_height in sizes:
                image = part(photo, width_and_height, channels)
                ours = resize_and_crop(image, size, channels, "torchvision")
                difference = np.abs(centre(ours, crop) - by_torchvision(image, size, crop))
                assert difference.max() <= 1, width_and_height
                differing.append((difference > 0).mean())
            assert np.mean(differing) < share


def test_training_and_prediction_have_them(tmp_path):
    """In training the centre of what preprocess stores, in prediction that of an image file."""
    sizes = WIDE + OTHERS + TALL
    images = {f"{'ab'[n % 2]}/{n}.png": part(PHOTOS[0], size) for n, size in enumerate(sizes)}
    mine = write_folder(tmp_path / "mine", {name: encode(i) for name, i in images.items()})
    data = make_config(source=str(mine), image_size=48, channels=3, resize="torchvision")
    download(data, tmp_path / "raw")
    assert preprocess(data, tmp_path / "raw", tmp_path / "processed").resize == "torchvision"
    files = (tmp_path / "processed").glob("*.safetensors")
    stored = np.concatenate([load_file(file)["images"] for file in files])
    predictor = Predictor(export_small(tmp_path / "artifact", 48, "torchvision"))
    prepared = [predictor.prepare(mine / name) for name in images]
    assert sorted(centre(x, 32).astype(np.uint8).tobytes() for x in stored) == sorted(
        x.tobytes() for x in prepared
    )
    for image, pixels in zip(images.values(), prepared, strict=True):
        assert np.abs(pixels - by_torchvision(image, 48, 32)).max() <= 1
