"""AlexNet, written out by hand: model, data, training, evaluation, figures, export."""

import os

__version__ = "0.1.0"

# onnxruntime sends telemetry since 1.29, unless it finds this when it is imported: before any
# module of ours can import it. A value that is already there is kept.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
