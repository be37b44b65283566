"""What a receiver needs: onnxruntime, numpy and Pillow, no torch."""
