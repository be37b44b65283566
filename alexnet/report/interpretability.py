"""Probes of a trained network: activations, top activations, features, gradients, occlusion.

All values are read from the module itself while it runs. Images are uint8 (N, H, W, C) in
the size that the network takes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet.network.inputs import normalise
from alexnet.network.model import AlexNet
from alexnet.network.summary import Layer, summarize
from alexnet.network.weights import ModelMetadata
from alexnet.training.device import DeviceConfig

BATCH_SIZE = 250
NUM_STRONGEST = 9  # images whose mean response counts as a channel's strongest
WEIGHTED = ("conv", "fc")  # kinds of layers
Advance = Callable[[int], object]  # called with the number of images of each batch
Floats = NDArray[np.float32]


def activation_layer(layers: Sequence[Layer], name: str) -> str:
    """The layer whose output is the activation of the weighted layer `name`.

    That is the first ReLU before the next weighted layer, whatever stands between (batch
    normalisation, a pool); without a ReLU the layer itself.
    """
    start = [layer.name for layer in layers].index(name) + 1
    for layer in layers[start:]:
        if layer.kind in WEIGHTED:
            break
        if layer.kind == "relu":
            return layer.name
    return name


def convolutions(layers: Sequence[Layer]) -> list[str]:
    """The names of the convolutions, in order."""
    return [layer.name for layer in layers if layer.kind == "conv"]


def last_hidden_layer(layers: Sequence[Layer]) -> str:
    """The last weighted layer before the logits: fc2 in AlexNet."""
    return [layer.name for layer in layers if layer.kind in WEIGHTED][-2]


@contextmanager
def capture_outputs(model: AlexNet, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """A dictionary that holds the outputs of the named layers after each forward pass."""
    outputs: dict[str, Tensor] = {}

    def save_as(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def save(layer: nn.Module, inputs: object, output: Tensor) -> None:
            outputs[name] = output

        return save

    with ExitStack() as hooks:
        for name in names:
            layer = model.get_submodule(name)
            hooks.enter_context(layer.register_forward_hook(save_as(name)))
        yield outputs


class FeatureExtractor:
    """A trained network on its device, with the layers and the normalisation of its inputs."""

    def __init__(
        self, model: AlexNet, metadata: ModelMetadata, device_config: DeviceConfig
    ) -> None:
        self.model = model.to(device_config.device).eval()
        self.metadata, self.device_config = metadata, device_config
        self.layers = summarize(model, metadata.image_size)

    def prepare(self, images: Tensor) -> Tensor:
        """Normalised images, float (N, C, H, W), on the network's device."""
        return normalise(
            images.to(self.device_config.device), self.metadata.mean, self.metadata.std
        )

    def batches(self, images: Tensor, advance: Advance) -> Iterator[Tensor]:
        """Normalised images, a batch at a time."""
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            yield self.prepare(batch)
            advance(len(batch))

    @torch.inference_mode()
    def outputs(self, images: Tensor, names: Sequence[str]) -> tuple[dict[str, Floats], Floats]:
        """The outputs of the named layers, and the classes' probabilities (N, K)."""
        with capture_outputs(self.model, names) as outputs:
            logits = self.model(self.prepare(images))
        arrays = {name: outputs[name].float().cpu().numpy() for name in names}
        return arrays, logits.softmax(dim=1).cpu().numpy()

    @torch.inference_mode()
    def top_activations(self, images: Tensor, advance: Advance) -> dict[str, "TopActivations"]:
        """By convolution: the largest activation of each channel for each image."""
        sources = {name: activation_layer(self.layers, name) for name in convolutions(self.layers)}
        found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in sources}
        autocast = self.device_config.autocast()
        with capture_outputs(self.model, [*sources.values()]) as outputs, autocast:
            for x in self.batches(images, advance):
                self.model(x)
                for name, source in sources.items():
                    value, position = outputs[source].flatten(2).float().max(dim=2)
                    found[name].append((value.cpu(), position.cpu()))
        return {
            name: TopActivations(
                torch.cat([value for value, _ in pairs]).numpy(),
                torch.cat([position for _, position in pairs]).numpy(),
                outputs[sources[name]].shape[-1],
            )
            for name, pairs in found.items()
        }

    @torch.inference_mode()
    def nearest(
        self, queries: Tensor, gallery: Tensor, number: int, advance: Advance, source: str = ""
    ) -> NDArray[np.int64]:
        """(Q, number): indices of each query's nearest neighbours in the gallery.

        The distance is Euclidean between the outputs of the layer `source`, or the activations of
        the last hidden layer (the 2012 paper, section 6.1).
        """
        source = source or activation_layer(self.layers, last_hidden_layer(self.layers))
        with capture_outputs(self.model, [source]) as outputs, self.device_config.autocast():
            self.model(self.prepare(queries))
            features = outputs[source].flatten(1).float()
            distances = []
            for x in self.batches(gallery, advance):
                self.model(x)
                distances.append(torch.cdist(features, outputs[source].flatten(1).float()).cpu())
        order = torch.cat(distances, dim=1).argsort(dim=1, stable=True)
        return order[:, :number].numpy()

    def gradient(self, images: Tensor, classes: Tensor) -> Floats:
        """(N, H, W): the absolute derivative of the class's logit by each pixel.

        The largest among the pixel's colours (Simonyan et al., arXiv 1312.6034).
        """
        x = self.prepare(images).clone().requires_grad_()
        logits = self.model(x).gather(1, classes.to(x.device)[:, None])
        (slope,) = torch.autograd.grad(logits.sum(), x)
        return slope.abs().amax(dim=1).cpu().numpy()

    @torch.inference_mode()
    def occlusion(self, image: Tensor, label: int, side: int, stride: int) -> Floats:
        """(rows, columns): the probability of class `label` with a square occluded there.

        The square of `side` pixels has the mean colour (Zeiler & Fergus, arXiv 1311.2901);
        its centre moves over the image (H, W, C) in steps of `stride`.
        """
        x = self.prepare(image[None])
        size = x.shape[-1]
        starts = range(-(side // 2), size - side // 2, stride)
        occluded = x.repeat(len(starts) ** 2, 1, 1, 1)
        for index, (top, left) in enumerate((y, z) for y in starts for z in starts):
            rows, columns = (slice(max(0, at), at + side) for at in (top, left))
            occluded[index, :, rows, columns] = 0.0
        with self.device_config.autocast():
            probability = self.model(occluded).float().softmax(dim=1)[:, label]
        return probability.view(len(starts), len(starts)).cpu().numpy()


@dataclass(frozen=True)
class TopActivations:
    """The largest activation of each channel for each image, and its position in the map."""

    values: Floats  # (N, C)
    positions: NDArray[np.int64]  # (N, C): row times `width` plus column
    width: int  # of the map

    def selective_channels(self, number: int, num_images: int) -> list[int]:
        """The channels whose strongest activations exceed their mean by the largest factor.

        Of those that share one of their `num_images` strongest images, as many channels of a deep
        layer do, only the first is taken, as long as there are others.
        """
        strongest = -np.sort(-self.values, axis=0)[:NUM_STRONGEST].mean(axis=0)
        mean = self.values.mean(axis=0)
        ratio = np.where(strongest > 0, strongest / np.maximum(mean, 1e-6), 0)
        chosen: list[int] = []
        others: list[int] = []
        shown: set[int] = set()
        for channel in np.argsort(-ratio, kind="stable").tolist():
            if len(chosen) == number:
                break
            images = {image for image, *_ in self.strongest(channel, num_images)}
            if ratio[channel] > 0 and not images & shown:
                chosen.append(channel)
                shown |= images
            else:
                others.append(channel)
        return sorted([*chosen, *others][:number])

    def strongest(self, channel: int, number: int) -> list[tuple[int, int, int]]:
        """(image, row, column) of a channel's strongest activations, one for each image."""
        order = np.argsort(-self.values[:, channel], kind="stable")[:number]
        return [(int(i), *divmod(int(self.positions[i, channel]), self.width)) for i in order]
