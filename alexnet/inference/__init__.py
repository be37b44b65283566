"""Run and verify an exported model: onnxruntime, numpy and Pillow, no torch."""
