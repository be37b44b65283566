"""Seeds depend on their purpose alone."""

import hashlib

import torch

from alexnet.seeding import generator_for, seed_for
from alexnet.training.augmentation import TRANSFORMS


def test_a_seed_is_the_digest_of_its_purpose():
    """Computed here, so that another machine or a later version gives the same run."""
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


def test_a_generator_depends_on_its_purpose_alone():
    first = torch.rand(5, generator=generator_for(1, "order", 2))
    torch.manual_seed(99)
    generator_for(1, "order", 3)
    assert torch.equal(torch.rand(5, generator=generator_for(1, "order", 2)), first)
    for other in (generator_for(1, "order", 3), generator_for(2, "order", 2)):
        assert not torch.equal(torch.rand(5, generator=other), first)


def test_a_generator_leaves_the_global_one_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(100, generator=generator_for(0, "order", 0))
    assert torch.equal(torch.rand(3), expected)
