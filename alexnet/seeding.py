"""Random numbers as a function of the seed and their purpose.

No generator carries state from one epoch or step to the next. So epoch 7 of a run shuffles
and augments its images in the same way whether the run was interrupted or not, on any
device and with any number of processes.
"""

import hashlib

import torch


def seed_for(seed: int, *purpose: str | int) -> int:
    """A seed for each purpose, such as ("order", 7): a signed 64-bit digest of both."""
    text = ",".join(map(str, (seed, *purpose)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator, whose numbers are the same on every machine."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))
