"""Nearest neighbours in the page: the activations of a hidden layer, in few dimensions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexnet.export.activations import Arrays
from alexnet.live.tensors import dequantise, quantise

DIMENSIONS = 48
NEGLIGIBLE = 1e-6  # of the largest variance: rounding

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """The principal components of activations, and the gallery's images in them.

    variance: the share of the activations' variance that the components hold.
    """

    arrays: Arrays
    dimensions: int
    variance: float


def project(features: Floats) -> Projection:
    """Principal component analysis of the activations (N, units).

    The components are rounded to 8 bits, as the page has them, and the points projected by what
    that leaves. A component's largest weight is positive.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    # By the products of the images: there are fewer of them than units.
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(-variances, kind="stable")[:DIMENSIONS]
    order = order[variances[order] > NEGLIGIBLE * variances.max()]
    components = vectors[:, order].T @ centred / np.sqrt(variances[order])[:, None]
    largest = np.abs(components).argmax(axis=1)[:, None]
    components *= np.sign(np.take_along_axis(components, largest, 1))
    rounded, scales = quantise(components)
    mean32 = mean.astype(np.float32)
    points = (features - mean32) @ dequantise(rounded, scales).T
    total = float(np.square(centred).sum())
    return Projection(
        {
            "neighbours.mean": mean32,
            "neighbours.components": rounded,
            "neighbours.components.scale": scales,
            "neighbours.points": points,
        },
        len(order),
        float(variances[order].sum()) / total if total else 0.0,
    )
