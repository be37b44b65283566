"""AlexNet, written out by hand: model, data, training, evaluation, figures, export."""

__version__ = "0.1.0"
