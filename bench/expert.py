"""The training loop of an expert, the second baseline of the benchmark.

The same network and images with plain PyTorch, written to be fast: all images in the device's
memory, a batch augmented by one gather, mixed precision, channels-last, a fused optimizer, a
compiled network on a GPU, and a host that never waits for the device within an epoch.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet.network.weights import ModelMetadata
from alexnet.training.device import DeviceConfig

PADDING = 4
LEARNING_RATE = 0.01


class Images:
    """All training images on the device, normalised and padded once."""

    def __init__(
        self, images: Tensor, labels: Tensor, metadata: ModelMetadata, device_config: DeviceConfig
    ) -> None:
        """images: uint8 (N, H, W, C); labels: int64 (N)."""
        device, self.size = device_config.device, metadata.image_size
        mean, std = (torch.tensor(each, device=device) for each in (metadata.mean, metadata.std))
        x = images.to(device).float().div_(255).sub_(mean).div_(std).to(device_config.dtype)
        x = F.pad(x.permute(0, 3, 1, 2), (PADDING,) * 4, mode="reflect")
        # Channels last in the indices, too: the gather then reads and writes whole pixels.
        self.padded = x.permute(0, 2, 3, 1).contiguous()  # (N, H + 8, W + 8, C)
        self.labels = labels.to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def augmented(self, index: Tensor) -> Tensor:
        """A random crop of each image, half of them mirrored: (N, C, H, W), channels-last."""
        device = index.device
        tops, lefts = torch.randint(2 * PADDING + 1, (2, len(index), 1), device=device)
        rows = columns = torch.arange(self.size, device=device)
        mirrored = torch.rand(len(index), 1, device=device) < 0.5
        rows, columns = tops + rows, lefts + torch.where(mirrored, columns.flip(0), columns)
        x = self.padded[index[:, None, None], rows[:, :, None], columns[:, None, :]]
        return x.permute(0, 3, 1, 2)


def make_optimizer(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(
        model.parameters(),
        lr=LEARNING_RATE,
        momentum=0.9,
        weight_decay=5e-4,
        nesterov=True,
        fused=True,
    )


def train(
    model: nn.Module,
    images: Images,
    device_config: DeviceConfig,
    batch_size: int,
    epochs: int,
    on_step: Callable[[int], None],
) -> list[float]:
    """The mean loss of each epoch. Calls `on_step` with the number of images of each step."""
    device = device_config.device
    torch.backends.cudnn.benchmark = True  # only a GPU reads it
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model)
    network: Callable[[Tensor], Tensor] = model
    if device_config.compiles:  # on a GPU alone
        # Compiled for a CPU, a step took 1.08 times the processor time (median of 4 pairs in turn,
        # 1.02 to 1.14; float32, 512 images, one thread of an AMD EPYC without AVX512).
        network = torch.compile(model, dynamic=False, mode="reduce-overhead")
    losses = []
    for _ in range(epochs):
        model.train()
        running_loss = torch.zeros((), device=device)
        batches = torch.randperm(len(images), device=device).split(batch_size)
        for index in batches:
            optimizer.zero_grad()
            with device_config.autocast():
                loss = F.cross_entropy(network(images.augmented(index)), images.labels[index])
            loss.backward()
            optimizer.step()

            running_loss += loss.detach()
            on_step(len(index))
        losses.append(running_loss.item() / len(batches))  # the host waits once an epoch
    return losses
