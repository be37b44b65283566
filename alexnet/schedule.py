"""The learning rate as a function of the step."""

import math


def learning_rate(step: int, num_steps: int, peak: float, warmup_fraction: float, shape: str) -> float:
    """The rate of step 0 .. num_steps - 1: rises linearly to `peak`, then falls.

    Warm-up (Goyal et al., arXiv 1706.02677) takes the first `warmup_fraction` of all
    steps; the fall is `linear` or `cosine` (Loshchilov & Hutter, arXiv 1608.03983)
    to zero just after the last step, or none (`constant`).
    """
    warmup_steps = round(num_steps * warmup_fraction)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (num_steps - warmup_steps)  # 0 .. 1
    match shape:
        case "constant":
            return peak
        case "linear":
            return peak * (1 - progress)
        case "cosine":
            return peak * (1 + math.cos(math.pi * progress)) / 2
    raise ValueError(f"unknown schedule {shape!r}")
