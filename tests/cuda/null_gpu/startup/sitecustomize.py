"""Python imports this as it starts: commands, and the processes that these start."""

import tests.cuda.null_gpu.device  # noqa: F401
