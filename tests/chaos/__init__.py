"""A chaos run: random faults while the pipeline runs, again and again.

    python -m tests.chaos                          # 200 faults, seed 0
    python -m tests.chaos --faults 20 --seed 7     # fewer, others

What happens to a run: kills (SIGKILL, SIGTERM, SIGINT, SIGHUP, of the stage, the runner, DVC,
make, or their process group), full disks (of the project, the cache, the checkpoints, TMPDIR),
edited parameters and code, damaged objects in DVC's cache, damaged checkpoints, a second run at
the same time, a reader of the output that goes away.

What is checked after each: that no process is left, that nothing of the user's is missing, and
that dvc.lock records nothing that was not run. After every few faults the pipeline runs to its
end undisturbed, which no lock may block, and its outputs must be, byte for byte, those of a run
that nothing ever disturbed.
"""
