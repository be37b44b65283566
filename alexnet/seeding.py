"""Random numbers as a function of the seed and of what they are for.

Nothing is drawn from a stream that remembers what was drawn before: epoch 7 of a run
shuffles and shifts its images in the same way whether the run was interrupted or not,
whatever device computes and however many processes share the work.
"""

import hashlib

import torch


def seed_for(seed: int, *purpose: str | int) -> int:
    """One seed for each purpose, such as ("epoch", 7): equally good, and all different."""
    text = ",".join(map(str, (seed, *purpose)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator on the CPU, whose numbers are the same on every machine."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))
