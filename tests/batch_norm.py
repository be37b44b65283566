"""A variant with buffers, as one class: small, with batch normalisation after conv1 and fc1."""

from torch import Tensor, nn

from alexnet.network.model import AlexNet


class AlexNetBatchNorm(AlexNet):
    """For 32x32 images; as in the default variant, pool5 leaves one position to copy."""

    variant = "batch-norm"
    image_size = 32
    smallest_size = 27

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__(num_classes, in_channels, dropout)
        self.conv1 = nn.Conv2d(in_channels, 8, kernel_size=11, stride=4, padding=4)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv5 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.relu5 = nn.ReLU()
        self.pool5 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.flatten = nn.Flatten()
        self.dropout1 = nn.Dropout(dropout)
        self.fc1 = nn.Linear(16 * 6 * 6, 32)
        self.bn6 = nn.BatchNorm1d(32)
        self.relu6 = nn.ReLU()
        self.fc3 = nn.Linear(32, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, 32, 32), normalised, to logits (N, num_classes)."""
        self.check_input(x)
        for layer in self.children():
            x = layer(x)
        return x
