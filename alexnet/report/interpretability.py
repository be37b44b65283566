"""What goes on inside a trained network, as plain arrays from which pictures are drawn.

Everything is read off the module itself while it runs: no layer is written out a second time.
Images are uint8 (N, H, W, C) in the size that the network takes.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet.network.inputs import normalise
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.training.device import DeviceConfig

BATCH = 250
Advance = Callable[[int], object]  # told how many more images are done
Floats = NDArray[np.float32]


@contextmanager
def tapped(model: AlexNet, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """A dictionary that holds, after each forward pass, what those layers gave.

    What a ReLU follows is taken behind it: what the next layer sees.
    """
    outputs: dict[str, Tensor] = {}

    def noting(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def note(layer: nn.Module, inputs: object, output: Tensor) -> None:
            outputs[name] = output

        return note

    children = dict(model.named_children())
    order = list(children)
    with ExitStack() as hooks:
        for name in names:
            following = order[order.index(name) + 1 : order.index(name) + 2]
            rectified = [other for other in following if isinstance(children[other], nn.ReLU)]
            layer = children[rectified[0] if rectified else name]
            hooks.enter_context(layer.register_forward_hook(noting(name)))
        yield outputs


def convolutions(model: AlexNet) -> list[str]:
    return [name for name, layer in model.named_children() if isinstance(layer, nn.Conv2d)]


class FeatureExtractor:
    """A network that is looked into, with what it takes to feed it."""

    def __init__(
        self, model: AlexNet, metadata: ModelMetadata, device_config: DeviceConfig
    ) -> None:
        self.model = model.to(device_config.device).eval()
        self.metadata, self.device_config = metadata, device_config

    def prepare(self, images: Tensor) -> Tensor:
        return normalise(
            images.to(self.device_config.device), self.metadata.mean, self.metadata.std
        )

    def batches(self, images: Tensor, advance: Advance) -> Iterator[Tensor]:
        """Normalised images, a batch at a time."""
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            yield self.prepare(batch)
            advance(len(batch))

    @torch.inference_mode()
    def maps(self, images: Tensor, names: list[str]) -> tuple[dict[str, Floats], Floats]:
        """What each of those layers gives for the images, and the classes' probabilities (N, K)."""
        with tapped(self.model, names) as outputs:
            logits = self.model(self.prepare(images))
        maps = {name: outputs[name].float().cpu().numpy() for name in names}
        return maps, logits.softmax(dim=1).cpu().numpy()

    @torch.inference_mode()
    def peaks(self, images: Tensor, advance: Advance) -> dict[str, "TopActivations"]:
        """Of each convolution: how strongly each image excites each channel, and where."""
        names = convolutions(self.model)
        found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
        with tapped(self.model, names) as outputs, self.device_config.autocast():
            for x in self.batches(images, advance):
                self.model(x)
                for name in names:
                    value, place = outputs[name].flatten(2).float().max(dim=2)
                    found[name].append((value.cpu(), place.cpu()))
        widths = {name: outputs[name].shape[-1] for name in names}
        return {
            name: TopActivations(
                torch.cat([value for value, _ in pairs]).numpy(),
                torch.cat([place for _, place in pairs]).numpy(),
                widths[name],
            )
            for name, pairs in found.items()
        }

    @torch.inference_mode()
    def nearest(
        self, queries: Tensor, gallery: Tensor, number: int, advance: Advance
    ) -> NDArray[np.int64]:
        """(Q, number): the gallery's images nearest to each query by Euclidean distance in fc2.

        The 2012 paper, section 6.1: two images are alike to the network if the 4096 values
        of its last hidden layer are close.
        """
        with tapped(self.model, ["fc2"]) as outputs, self.device_config.autocast():
            self.model(self.prepare(queries))
            wanted = outputs["fc2"].float()
            distances = []
            for x in self.batches(gallery, advance):
                self.model(x)
                distances.append(torch.cdist(wanted, outputs["fc2"].float()).cpu())
        order = torch.cat(distances, dim=1).argsort(dim=1, stable=True)
        return order[:, :number].numpy()

    def gradient(self, images: Tensor, classes: Tensor) -> Floats:
        """(N, H, W): how much the class's logit changes with each pixel.

        The largest absolute derivative among its colours (Simonyan et al., arXiv 1312.6034).
        """
        x = self.prepare(images).clone().requires_grad_()
        logits = self.model(x).gather(1, classes.to(x.device)[:, None])
        (slope,) = torch.autograd.grad(logits.sum(), x)
        return slope.abs().amax(dim=1).cpu().numpy()

    @torch.inference_mode()
    def occlusion(self, image: Tensor, label: int, side: int, stride: int) -> Floats:
        """(rows, columns): the class's probability with a square of `side` pixels hidden there.

        The square is the mean colour (Zeiler & Fergus, arXiv 1311.2901); its middle moves
        over the image in steps of `stride`. image: (H, W, C).
        """
        x = self.prepare(image[None])
        size = x.shape[-1]
        starts = range(-(side // 2), size - side // 2, stride)
        hidden = x.repeat(len(starts) ** 2, 1, 1, 1)
        for number, (top, left) in enumerate((y, z) for y in starts for z in starts):
            rows, columns = (slice(max(0, at), at + side) for at in (top, left))
            hidden[number, :, rows, columns] = 0.0
        with self.device_config.autocast():
            probability = self.model(hidden).float().softmax(dim=1)[:, label]
        return probability.view(len(starts), len(starts)).cpu().numpy()


@dataclass(frozen=True)
class TopActivations:
    """The largest value of each channel's map for each image."""

    values: Floats  # (N, C)
    places: NDArray[np.int64]  # (N, C): row times `width` plus column in the map
    width: int

    def selective(self, number: int) -> list[int]:
        """The channels whose strongest answers stand out most from their usual ones."""
        best = -np.sort(-self.values, axis=0)[:9].mean(axis=0)
        usual = self.values.mean(axis=0)
        ratio = np.where(best > 0, best / np.maximum(usual, 1e-6), 0)
        return sorted(np.argsort(-ratio, kind="stable")[:number].tolist())

    def strongest(self, channel: int, number: int) -> list[tuple[int, int, int]]:
        """(image, row, column) of the strongest answers of a channel, each of another image."""
        order = np.argsort(-self.values[:, channel], kind="stable")[:number]
        return [(int(i), *divmod(int(self.places[i, channel]), self.width)) for i in order]
