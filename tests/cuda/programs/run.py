"""`run VARIANT NUM_FULL CHANGES RESUMES`: a whole run, and again from each step of RESUMES.

NUM_FULL: full batches an epoch; CHANGES: of the section `train`, as JSON. With data_location `auto`
the device says that little memory is free: enough for the images of 5 batches, and not for what
the layers before fc3 give of them.
"""

import json
import sys

import torch

from tests.cuda.null_gpu import device  # noqa: F401 (before CUDA is used)
from tests.cuda.programs.training import Run, graphs, print_results

FREE = 40 << 20

variant, num_full, changes, resumes = sys.argv[1], *map(json.loads, sys.argv[2:])
if changes["data_location"] == "auto":
    torch.cuda.mem_get_info = lambda device=None: (FREE, FREE)
run = Run(variant, num_full, save_at=tuple(resumes), **changes).fit()
uninterrupted = graphs()
resumed = {}
for step in resumes:
    torch._dynamo.reset()  # as in a new process
    num_before = len(graphs())
    again = Run(variant, num_full, run.checkpoints[step], **changes)
    assert again.trainer.state.step == step
    again.fit()
    resumed[step] = graphs()[num_before:]
print_results(steps=run.steps, graphs=uninterrupted, resumed=resumed)
