"""Seeds are a function of the run's seed and a purpose."""

import hashlib

import torch

from alexnet.seeding import generator_for, seed_for
from alexnet.training.augmentation import TRANSFORMS


def test_a_seed_is_a_digest_of_its_purpose():
    """Written out: a run must be the same on another machine and in a later version."""
    digest = hashlib.blake2b(b"7,order,3", digest_size=8).digest()
    assert seed_for(7, "order", 3) == int.from_bytes(digest, "little", signed=True)


def test_each_purpose_has_its_own_seed():
    kinds = [kind.name for kind in TRANSFORMS]
    purposes = [
        *[(name,) for name in kinds],
        *[(name, epoch) for name in ["order", *kinds] for epoch in range(100)],
        *[("step", step, rank) for step in range(250) for rank in range(4)],
    ]
    seeds = {seed_for(seed, *purpose) for seed in range(5) for purpose in purposes}
    assert len(seeds) == 5 * len(purposes)
    assert min(seeds) < 0 < max(seeds)
    for seed in list(seeds)[:100]:
        torch.manual_seed(seed)  # accepts it


def test_a_generator_does_not_depend_on_earlier_draws():
    first = torch.rand(5, generator=generator_for(1, "order", 2))
    torch.manual_seed(99)
    generator_for(1, "order", 3)
    assert torch.equal(torch.rand(5, generator=generator_for(1, "order", 2)), first)
    for other in (generator_for(1, "order", 3), generator_for(2, "order", 2)):
        assert not torch.equal(torch.rand(5, generator=other), first)


def test_the_global_generator_is_not_used():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(100, generator=generator_for(0, "order", 0))
    assert torch.equal(torch.rand(3), expected)
