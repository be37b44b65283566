"""AlexNet in three variants, each written out by hand.

Read one class from top to bottom: `__init__` registers the layers in the order in
which they run, `forward` applies them, one operation a line, followed by the shape of
its result. The summary table, the diagram and the operation counts are derived
from these classes.

    AlexNetCifar          32x32 images, the project's default
    AlexNetImageNet2012   Krizhevsky, Sutskever, Hinton: ImageNet Classification with
                          Deep Convolutional Neural Networks. NeurIPS 2012.
    AlexNetOneWeirdTrick  Krizhevsky: One weird trick for parallelizing convolutional
                          neural networks. arXiv 1404.5997, 2014.

Shapes are (N, channels, height, width); N is the number of images in the batch.
A convolution or pooling of kernel K, stride S and padding P turns a side of W
pixels into floor((W - K + 2P) / S) + 1.
A new variant is a class here, and its name in `config.Variant`.
"""

from typing import ClassVar

from torch import Tensor, nn

from alexnet.network.convolution import Conv2d
from alexnet.network.layers import AdaptiveAvgPool2d, LocalResponseNorm


class AlexNet(nn.Module):
    """The interface of the variants: name, image sizes, first layers, checks of the input.

    The layers are direct children, registered in the order in which they run.
    num_classes: at least 2, else ValueError. dropout: a probability; its layers differ.
    """

    variant: ClassVar[str]
    image_size: ClassVar[int]  # the side in pixels that the variant was designed for
    smallest_size: ClassVar[int]
    largest_size: ClassVar[int | None] = None  # None: any

    conv1: nn.Conv2d  # takes the images
    fc1: nn.Linear  # takes the last maps, flattened
    fc3: nn.Linear  # gives the logits

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}")
        self.num_classes = num_classes
        self.in_channels = in_channels

    @classmethod
    def check_image_size(cls, height: int, width: int) -> None:
        """Raises ValueError if the layers cannot take images of this size (pixels)."""
        small, large = cls.smallest_size, cls.largest_size
        if min(height, width) < small or (large is not None and max(height, width) > large):
            limit = (
                f"at least {small}x{small}"
                if large is None
                else f"{small}x{small} to {large}x{large}"
            )
            raise ValueError(
                f"variant {cls.variant} takes images of {limit} pixels, got {height}x{width}"
            )

    def check_input(self, x: Tensor) -> None:
        """Raises ValueError unless `x` is (N, in_channels, H, W) of a size the layers can take."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"expected images of shape (N, {self.in_channels}, H, W), got {tuple(x.shape)}"
            )
        self.check_image_size(x.shape[2], x.shape[3])


class AlexNetCifar(AlexNet):
    """AlexNet for 32x32 images: 58,322,314 parameters with 10 classes and 3 channels.

    The first convolution keeps the paper's 11x11 kernel and stride of 4 but pads by
    4, which leaves 8x8 positions; the first and second pooling of the paper are
    merged into one. A single position is left after pool5, which the average pool
    copies to the 6x6 that the paper's fc1 expects.

    Initial weights: He et al. (arXiv 1502.01852, PyTorch's kaiming_normal_), which keeps
    the variance of the activations from layer to layer. fc3 has a standard deviation of
    0.001, a tenth of the 2012 paper's, so that the first logits are near 0 and the first
    loss near log(num_classes); with He's it would be far above. PyTorch's default, uniform
    within 1/sqrt(fan_in), starts at the same loss but shrinks the activations in each
    layer: on small data this network then learns nothing in its first epochs.
    """

    variant = "cifar"
    image_size = 32
    smallest_size = 27  # conv1 turns it into 7x7, pool2 into 3x3, pool5 into 1x1

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__(num_classes, in_channels)
        self.conv1 = Conv2d(in_channels, 96, kernel_size=11, stride=4, padding=4)
        self.relu1 = nn.ReLU()
        self.conv2 = Conv2d(96, 256, kernel_size=5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = Conv2d(256, 384, kernel_size=3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = Conv2d(384, 384, kernel_size=3, padding=1)
        self.relu4 = nn.ReLU()
        self.conv5 = Conv2d(384, 256, kernel_size=3, padding=1)
        self.relu5 = nn.ReLU()
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.avgpool = AdaptiveAvgPool2d((6, 6))
        self.flatten = nn.Flatten()
        self.dropout1 = nn.Dropout(dropout)
        self.fc1 = nn.Linear(256 * 6 * 6, 4096)
        self.relu6 = nn.ReLU()
        self.dropout2 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.fc3 = nn.Linear(4096, num_classes)

        for layer in self.children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.fc3.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, 32, 32), normalised, to logits (N, num_classes)."""
        self.check_input(x)  #     (N,   3, 32, 32)
        x = self.conv1(x)  #       (N,  96,  8,  8)
        x = self.relu1(x)  #       (N,  96,  8,  8)
        x = self.conv2(x)  #       (N, 256,  8,  8)
        x = self.relu2(x)  #       (N, 256,  8,  8)
        x = self.pool2(x)  #       (N, 256,  3,  3)
        x = self.conv3(x)  #       (N, 384,  3,  3)
        x = self.relu3(x)  #       (N, 384,  3,  3)
        x = self.conv4(x)  #       (N, 384,  3,  3)
        x = self.relu4(x)  #       (N, 384,  3,  3)
        x = self.conv5(x)  #       (N, 256,  3,  3)
        x = self.relu5(x)  #       (N, 256,  3,  3)
        x = self.pool5(x)  #       (N, 256,  1,  1)
        x = self.avgpool(x)  #     (N, 256,  6,  6)
        x = self.flatten(x)  #     (N, 9216)
        x = self.dropout1(x)  #    (N, 9216)
        x = self.fc1(x)  #         (N, 4096)
        x = self.relu6(x)  #       (N, 4096)
        x = self.dropout2(x)  #    (N, 4096)
        x = self.fc2(x)  #         (N, 4096)
        x = self.relu7(x)  #       (N, 4096)
        return self.fc3(x)  #      (N, num_classes)


class AlexNetImageNet2012(AlexNet):
    """The network of the 2012 paper: 60,965,224 parameters with 1000 classes.

    The paper states 224x224; only 227x227 gives its 55x55 positions in conv1. conv2,
    conv4 and conv5 take the half of the maps that lay on their own GPU, which is a
    convolution in two groups. The normalisation (section 3.3) has the paper's k=2, n=5,
    alpha=1e-4, beta=0.75; PyTorch divides alpha by n, so its argument is 5e-4. There is
    no adaptive pool: fc1 takes exactly 6x6.

    Initial weights: section 5 of the paper. A normal distribution of standard deviation
    0.01; biases of 1 in conv2, conv4, conv5, fc1 and fc2 (so that the ReLUs get positive
    inputs from the start), 0 elsewhere. The first loss is near log(num_classes).
    """

    variant = "imagenet-2012"
    image_size = 227
    smallest_size = 227
    largest_size = 258  # from 259 pixels on, more than 6x6 positions would reach fc1

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__(num_classes, in_channels)
        self.conv1 = Conv2d(in_channels, 96, kernel_size=11, stride=4)
        self.relu1 = nn.ReLU()
        self.lrn1 = LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = Conv2d(96, 256, kernel_size=5, padding=2, groups=2)
        self.relu2 = nn.ReLU()
        self.lrn2 = LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = Conv2d(256, 384, kernel_size=3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = Conv2d(384, 384, kernel_size=3, padding=1, groups=2)
        self.relu4 = nn.ReLU()
        self.conv5 = Conv2d(384, 256, kernel_size=3, padding=1, groups=2)
        self.relu5 = nn.ReLU()
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(256 * 6 * 6, 4096)
        self.relu6 = nn.ReLU()
        self.dropout1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.dropout2 = nn.Dropout(dropout)
        self.fc3 = nn.Linear(4096, num_classes)

        for layer in self.children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in (self.conv2, self.conv4, self.conv5, self.fc1, self.fc2):
            nn.init.ones_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, 227, 227), normalised, to logits (N, num_classes)."""
        self.check_input(x)  #     (N,   3, 227, 227)
        x = self.conv1(x)  #       (N,  96,  55,  55)
        x = self.relu1(x)  #       (N,  96,  55,  55)
        x = self.lrn1(x)  #        (N,  96,  55,  55)
        x = self.pool1(x)  #       (N,  96,  27,  27)
        x = self.conv2(x)  #       (N, 256,  27,  27)
        x = self.relu2(x)  #       (N, 256,  27,  27)
        x = self.lrn2(x)  #        (N, 256,  27,  27)
        x = self.pool2(x)  #       (N, 256,  13,  13)
        x = self.conv3(x)  #       (N, 384,  13,  13)
        x = self.relu3(x)  #       (N, 384,  13,  13)
        x = self.conv4(x)  #       (N, 384,  13,  13)
        x = self.relu4(x)  #       (N, 384,  13,  13)
        x = self.conv5(x)  #       (N, 256,  13,  13)
        x = self.relu5(x)  #       (N, 256,  13,  13)
        x = self.pool5(x)  #       (N, 256,   6,   6)
        x = self.flatten(x)  #     (N, 9216)
        x = self.fc1(x)  #         (N, 4096)
        x = self.relu6(x)  #       (N, 4096)
        x = self.dropout1(x)  #    (N, 4096)
        x = self.fc2(x)  #         (N, 4096)
        x = self.relu7(x)  #       (N, 4096)
        x = self.dropout2(x)  #    (N, 4096)
        return self.fc3(x)  #      (N, num_classes)


class AlexNetOneWeirdTrick(AlexNet):
    """The single-tower network of 2014: 61,100,840 parameters with 1000 classes.

    No groups and no normalisation, 64 and 192 maps in the first two layers, and
    dropout before fc1 and fc2. With copied weights its outputs equal those of
    torchvision's `alexnet` bit for bit. Initial weights: as in torchvision, PyTorch's
    default, uniform within 1/sqrt(fan_in); the first loss is near log(num_classes).
    """

    variant = "one-weird-trick"
    image_size = 224
    smallest_size = 63  # conv1 turns it into 15x15, the pools into 7x7, 3x3 and 1x1

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__(num_classes, in_channels)
        self.conv1 = Conv2d(in_channels, 64, kernel_size=11, stride=4, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = Conv2d(64, 192, kernel_size=5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = Conv2d(192, 384, kernel_size=3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = Conv2d(384, 256, kernel_size=3, padding=1)
        self.relu4 = nn.ReLU()
        self.conv5 = Conv2d(256, 256, kernel_size=3, padding=1)
        self.relu5 = nn.ReLU()
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.avgpool = AdaptiveAvgPool2d((6, 6))
        self.flatten = nn.Flatten()
        self.dropout1 = nn.Dropout(dropout)
        self.fc1 = nn.Linear(256 * 6 * 6, 4096)
        self.relu6 = nn.ReLU()
        self.dropout2 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.fc3 = nn.Linear(4096, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, 224, 224), normalised, to logits (N, num_classes)."""
        self.check_input(x)  #     (N,   3, 224, 224)
        x = self.conv1(x)  #       (N,  64,  55,  55)
        x = self.relu1(x)  #       (N,  64,  55,  55)
        x = self.pool1(x)  #       (N,  64,  27,  27)
        x = self.conv2(x)  #       (N, 192,  27,  27)
        x = self.relu2(x)  #       (N, 192,  27,  27)
        x = self.pool2(x)  #       (N, 192,  13,  13)
        x = self.conv3(x)  #       (N, 384,  13,  13)
        x = self.relu3(x)  #       (N, 384,  13,  13)
        x = self.conv4(x)  #       (N, 256,  13,  13)
        x = self.relu4(x)  #       (N, 256,  13,  13)
        x = self.conv5(x)  #       (N, 256,  13,  13)
        x = self.relu5(x)  #       (N, 256,  13,  13)
        x = self.pool5(x)  #       (N, 256,   6,   6)
        x = self.avgpool(x)  #     (N, 256,   6,   6)
        x = self.flatten(x)  #     (N, 9216)
        x = self.dropout1(x)  #    (N, 9216)
        x = self.fc1(x)  #         (N, 4096)
        x = self.relu6(x)  #       (N, 4096)
        x = self.dropout2(x)  #    (N, 4096)
        x = self.fc2(x)  #         (N, 4096)
        x = self.relu7(x)  #       (N, 4096)
        return self.fc3(x)  #      (N, num_classes)


def _subclasses(cls: type[AlexNet]) -> list[type[AlexNet]]:
    return [each for child in cls.__subclasses__() for each in (child, *_subclasses(child))]


# By name; `config.Variant` has the names too, so that a wrong one fails before torch is imported.
VARIANTS: dict[str, type[AlexNet]] = {cls.variant: cls for cls in _subclasses(AlexNet)}
