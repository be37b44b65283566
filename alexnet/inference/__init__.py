"""Run and verify an exported model: onnxruntime, numpy and Pillow, no torch."""

from alexnet.inference.predictor import ImageInput, Prediction, Predictor, Result

__all__ = ["ImageInput", "Prediction", "Predictor", "Result"]
