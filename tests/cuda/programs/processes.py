"""`processes`: a run as the first of 8 processes, by PyTorch's real NCCL backend.

NCCL's functions are stubs, so that no other process need be there; on the CPU PyTorch's own
stand-in exchanges the flags.
"""

import torch.distributed as dist
from torch.testing._internal.distributed import fake_pg  # noqa: F401 (registers "fake")

from alexnet.training.distributed import DistributedContext
from tests.cuda.programs.training import DEVICE, Run, graphs, print_results

NUM_PROCESSES = 8

dist.init_process_group(
    "cpu:fake,cuda:nccl", store=dist.HashStore(), rank=0, world_size=NUM_PROCESSES, device_id=DEVICE
)
run = Run("cifar", 5, distributed=DistributedContext(0, NUM_PROCESSES, 0)).fit()
print_results(steps=run.steps, graphs=graphs())
dist.destroy_process_group()
