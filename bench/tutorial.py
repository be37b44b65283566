"""The training loop of a tutorial, the first baseline of the benchmark.

The same network and images with the tools of PyTorch and torchvision at their defaults:
float32, a loader with two workers, transforms on PIL images, plain SGD. Nothing here is slow
on purpose.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from alexnet.network.weights import ModelMetadata

NUM_WORKERS = 2
LEARNING_RATE = 0.01


class Images(Dataset[tuple[Tensor, int]]):
    """Arrays in memory, converted to PIL images one by one, as in torchvision's CIFAR10."""

    def __init__(
        self, images: np.ndarray, labels: list[int], transform: Callable[[Image.Image], Tensor]
    ) -> None:
        """images: uint8 (N, H, W, C)."""
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index].squeeze())  # grey ones have no third axis
        return self.transform(image), self.labels[index]


def make_loader(
    images: Tensor, labels: Tensor, metadata: ModelMetadata, batch_size: int, device: torch.device
) -> DataLoader[tuple[Tensor, int]]:
    transform = transforms.Compose(
        [
            transforms.RandomCrop(metadata.image_size, padding=4, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(metadata.mean, metadata.std),
        ]
    )
    return DataLoader(
        Images(images.numpy(), labels.tolist(), transform),
        batch_size=batch_size,
        shuffle=True,
        num_workers=NUM_WORKERS,
        pin_memory=device.type == "cuda",
    )


def make_optimizer(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, weight_decay=5e-4)


def train(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, int]],
    device: torch.device,
    epochs: int,
    on_step: Callable[[int], None],
) -> list[float]:
    """The mean loss of each epoch. Calls `on_step` with the number of images of each step."""
    model.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = make_optimizer(model)
    losses = []
    for _ in range(epochs):
        model.train()
        running_loss = 0.0
        for images, labels in loader:
            images = images.to(device, non_blocking=True)
            labels = labels.to(device, non_blocking=True)

            optimizer.zero_grad()
            logits = model(images)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()

            running_loss += loss.item()
            on_step(len(labels))
        losses.append(running_loss / len(loader))
    return losses
