"""data.resize: torchvision gives the pixels of torchvision's own preprocessing, to 1 of 255."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.models import AlexNet_Weights
from torchvision.transforms import functional as F

from alexnet.data.images import resize_and_crop

PRESET = AlexNet_Weights.IMAGENET1K_V1.transforms()  # 224 of 256 pixels
# Width and height: wide, tall, one pixel more, narrow, smaller than 256.
SIZES = [(640, 427), (427, 640), (427, 427), (428, 427), (427, 430), (300, 203), (203, 427)]
SIZES += [(640, 426), (320, 427), (501, 333), (640, 33), (60, 427), (20, 25), (101, 100), (1, 9)]
SIZES += [(256, 257), (258, 256), (256, 256), (300, 256), (256, 427)]


def part(photo, width, height, channels):
    """A part of a photograph, uint8 (427, 640, 3), which is turned if the part is too tall."""
    pixels = np.rot90(photo) if height > 427 else photo
    image = Image.fromarray(np.ascontiguousarray(pixels[:height, :width]))
    return image.convert("L" if channels == 1 else "RGB")


def by_torchvision(image, size, crop):
    """uint8 (crop, crop, channels), by the preset with other sizes."""
    resized = F.resize(image, [size], PRESET.interpolation, antialias=PRESET.antialias)
    pixels = np.asarray(F.center_crop(resized, [crop]))
    return pixels.reshape(crop, crop, -1)


def middle(pixels, crop):
    start = (len(pixels) - crop) // 2
    return pixels[start : start + crop, start : start + crop].astype(int)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("photo", [0, 1])
@pytest.mark.parametrize(("size", "crop"), [(256, 224), (256, 256), (64, 52), (47, 43), (227, 3)])
def test_the_centre_has_the_pixels_of_torchvisions_crop(size, crop, photo, channels):
    differing = {}
    for width, height in SIZES:
        image = part(load_sample_images().images[photo], width, height, channels)
        ours = middle(resize_and_crop(image, size, channels, "torchvision"), crop)
        difference = np.abs(ours - by_torchvision(image, size, crop))
        assert difference.max() <= 1, (width, height)
        differing[width, height] = (difference > 0).mean()
    print(size, crop, photo, channels, {k: round(v,4) for k,v in differing.items()}, np.mean(list(differing.values())))
