"""The start of the first convolution as filters that whiten the training images' patches.

Neighbouring pixels are nearly equal, so under random filters a few directions (the brightness
of the patch) dominate all outputs. Filters along the eigenvectors of the patches' covariance,
each divided by the root of its eigenvalue, give outputs that are uncorrelated and of equal
size from the first step on (Page, "How to train your ResNet", 2018-2019; Jordan, arXiv
2404.00498, section 3.1). A ReLU passes one sign alone, so each comes with its negative.
"""

import math

import torch
from torch import Tensor, nn

from alexnet.network.inputs import centre_crop, normalise
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.training.loader import evenly_spaced

NUM_IMAGES = 2_000
# Of large images fewer are enough: one of 227x227 pixels has 3,025 patches, one of 32x32 has 36.
MAX_PATCHES = 300_000
BATCH_PATCHES = 3_600
# Added to the eigenvalues, where a pixel's variance is 1; directions of less are noise.
EPS = 1e-2
# He's initialisation gives outputs of variance 2, of which the ReLU leaves a mean square of 1:
# what the next layer's initialisation expects.
GAIN = math.sqrt(2)


@torch.no_grad()
def whiten_first_layer(model: AlexNet, images: Tensor, metadata: ModelMetadata) -> None:
    """Set conv1's weights to whitening filters of the images' patches, and its bias to 0.

    images: uint8 (N, H, W, C). Filters k and k + n are the k-th eigenvector and its negative, the
    largest eigenvalue first. Filters beyond twice the number of directions in which the patches
    vary keep the weights that they have. The same images give the same bytes.
    """
    conv = model.conv1
    wanted = min(NUM_IMAGES, -(-MAX_PATCHES // num_patches(conv, metadata.image_size)))
    rows = evenly_spaced(len(images), wanted)
    values, vectors = torch.linalg.eigh(patch_covariance(conv, images[rows], metadata))
    number = min(len(conv.weight) // 2, int((values > EPS).sum()))
    leading = vectors.flip(1)[:, :number] / (values.flip(0)[:number] + EPS).sqrt()
    filters = GAIN * leading.T.reshape(number, *conv.weight.shape[1:])
    conv.weight[: 2 * number] = torch.cat([filters, -filters]).to(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def first_position(conv: nn.Conv2d) -> tuple[int, int]:
    """`conv`'s first row and column at or after the image's edge; it begins at -padding."""
    assert not isinstance(conv.padding, str)
    return -conv.padding[0] % conv.stride[0], -conv.padding[1] % conv.stride[1]


def num_patches(conv: nn.Conv2d, image_size: int) -> int:
    """The positions of `conv` in an image without padding."""
    by_side = zip(first_position(conv), conv.kernel_size, conv.stride, strict=True)
    return math.prod((image_size - first - k) // step + 1 for first, k, step in by_side)


def patch_covariance(conv: nn.Conv2d, images: Tensor, metadata: ModelMetadata) -> Tensor:
    """(D, D) in float64: of the patches (C, K, K) at `conv`'s positions without padding."""
    kernel, stride = conv.kernel_size, conv.stride
    top, left = first_position(conv)
    size = conv.weight[0].numel()
    count, total = 0, torch.zeros(size, dtype=torch.float64)
    products = torch.zeros(size, size, dtype=torch.float64)
    for batch in images.split(max(1, BATCH_PATCHES // num_patches(conv, metadata.image_size))):
        x = normalise(centre_crop(batch, metadata.image_size), metadata.mean, metadata.std).cpu()
        patches = nn.functional.unfold(x[:, :, top:, left:], kernel, stride=stride)
        patches = patches.movedim(1, 2).flatten(0, 1)  # (N, D, positions) to (N positions, D)
        count += len(patches)
        total += patches.double().sum(dim=0)
        products += (patches.T @ patches).double()
    mean = total / count
    return products / count - mean[:, None] * mean
