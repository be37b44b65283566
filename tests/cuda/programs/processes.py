"""`processes CHANGES`: a run as the first of 8 processes, by PyTorch's real NCCL backend.

CHANGES: of the section `train`, as JSON.

NCCL's functions are stubs, so that no other process need be there; on the CPU PyTorch's own
stand-in exchanges the flags.
"""

import json
import sys

import torch.distributed as dist
from torch.testing._internal.distributed import fake_pg  # noqa: F401 (registers "fake")

from alexnet.training.distributed import DistributedContext
from tests.cuda.programs.training import DEVICE, Run, graphs, print_results

NUM_PROCESSES = 8

dist.init_process_group(
    "cpu:fake,cuda:nccl", store=dist.HashStore(), rank=0, world_size=NUM_PROCESSES, device_id=DEVICE
)
changes = json.loads(sys.argv[1])
run = Run("cifar", 5, distributed=DistributedContext(0, NUM_PROCESSES, 0), **changes).fit()
print_results(steps=run.steps, graphs=graphs())
dist.destroy_process_group()
