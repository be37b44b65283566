"""The ONNX graph, its lower precisions, and the exported artifact."""
