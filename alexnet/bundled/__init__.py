"""A trained network that comes with the package: CIFAR-10 in int8. Its card is cifar10.md."""

from pathlib import Path

CIFAR10 = Path(__file__).with_name("cifar10.int8.onnx")
# By the names that `alexnet predict` takes in place of a path.
MODELS = {"cifar10": CIFAR10}
