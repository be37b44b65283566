"""The ONNX graph, its smaller precisions, and the folder that is handed over."""
