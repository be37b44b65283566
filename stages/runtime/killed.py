"""Why SIGKILL ended a stage: it comes from the kernel, for lack of memory, or from outside."""

from pathlib import Path

VMSTAT = Path("/proc/vmstat")  # counts for the whole machine
CGROUP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
HELPS = {"train": "a smaller train.batch_size, ", "evaluate": "a smaller evaluate.batch_size, "}
HELPS["repeat"] = HELPS["train"]


def count_oom_kills() -> int:
    """A number that grows with every process that the kernel kills for lack of memory."""
    return _oom_kill_in(VMSTAT) + _oom_kill_in(_memory_events())


def explain_kill(stage: str, count_before: int) -> str:
    """Why SIGKILL ended a stage, and what helps. count_before: `count_oom_kills` at its start."""
    if count_oom_kills() > count_before:
        why = (
            "by the kernel, which ran out of memory (of the machine, or of its control group); "
            f"{HELPS.get(stage, '')}more memory or fewer other programs help"
        )
    else:
        why = "by a SIGKILL from outside; the kernel did not run out of memory"
    resumes = (
        ". Started again, it resumes from its latest checkpoint"
        if stage in ("train", "repeat")
        else ""
    )
    return f"{stage} was killed {why}{resumes}"


def _memory_events() -> Path:
    """Of this process's control group, version 2; the root's has none."""
    lines = CGROUP.read_text().splitlines() if CGROUP.exists() else []
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return CGROUPS / own.lstrip("/") / "memory.events"


def _oom_kill_in(path: Path) -> int:
    lines = path.read_text().splitlines() if path.is_file() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
