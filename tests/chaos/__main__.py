"""The run itself; see the package's docstring."""

import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos.faults import Missed, strike
from tests.chaos.project import Project, mount_disks, undisturbed, unmount_disks
from tests.conftest import STAGES

FAULTS_A_ROUND = 8  # then the run is left alone until its end


@dataclass
class Tally:
    """What happened, of all projects together."""

    wanted: int
    deadline: float
    counts: Counter[str] = field(default_factory=Counter)
    num_faults: int = 0
    num_missed: int = 0
    num_rounds: int = 0
    failures: list[str] = field(default_factory=list)

    def is_over(self) -> bool:
        return bool(
            self.num_faults >= self.wanted or self.failures or time.monotonic() > self.deadline
        )

    def count(self, what: str) -> None:
        self.num_faults += 1
        self.counts[what] += 1
        print(f"{self.num_faults:4}  {what}", flush=True)


def chaos(
    faults: Annotated[int, typer.Option(min=1, help="How many.")] = 200,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    minutes: Annotated[float, typer.Option(help="The longest time it may take.")] = 100,
    projects: Annotated[int, typer.Option(min=1, help="How many are hit side by side.")] = 2,
    only: Annotated[str, typer.Option(help="Only faults whose name contains this.")] = "",
    keep: Annotated[bool, typer.Option(help="Keep the folder of a failure.")] = False,
) -> None:
    """Hit the pipeline with faults; exit with 1 if one of them does harm."""
    if not os.environ.get("CHAOS_MOUNTS"):  # small disks, which end with this process
        user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        again = [sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        os.environ["CHAOS_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", *user, *again])
    base = Path(tempfile.mkdtemp(prefix="chaos-"))
    folders = [base / str(number) for number in range(projects)]
    tally = Tally(faults, time.monotonic() + 60 * minutes)
    try:
        for folder in folders:
            mount_disks(folder)
        all_projects = [Project(folder) for folder in folders]
        undisturbed(all_projects[0])
        for project in all_projects[1:]:
            project.compare_with(all_projects[0])
        print(f"{len(all_projects[0].expected)} files have to be the same each time", flush=True)
        threads = [
            threading.Thread(
                target=rounds, args=(project, random.Random(f"{seed} {n}"), tally, only)
            )
            for n, project in enumerate(all_projects)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        if not keep:
            unmount_disks(folders)
            shutil.rmtree(base)
    report(tally, seed)
    sys.exit(1 if tally.failures or tally.num_faults < faults else 0)


def rounds(project: Project, chance: random.Random, tally: Tally, only: str) -> None:
    """Some faults, then a run in peace, whose outputs have to be the expected ones."""
    try:
        while not tally.is_over():
            project.reset(chance.randrange(len(STAGES)))
            for _ in range(FAULTS_A_ROUND):
                if tally.is_over() or not project.ahead():
                    break
                try:
                    tally.count(strike(project, chance, only))
                except Missed:
                    tally.num_missed += 1
                check(project)
            in_peace(project)
            tally.num_rounds += 1
    except Exception as error:
        what = (
            f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else error
        )
        tally.failures.append(f"{what}\nthe end of the output:\n{project.output()[-3000:]}")


def check(project: Project) -> None:
    """What has to hold after each fault."""
    left = project.wait_for_the_end()
    assert not left, f"processes are left: {left}"
    missing = project.missing()
    assert not missing, f"the user's files are gone: {missing}"
    for stage, entry in project.recorded().items():
        expected = project.lock[stage]
        parts = [(entry.get(key), expected.get(key)) for key in ("deps", "params")]
        if all(found == wanted for found, wanted in parts) and stage not in ("profile", "plot"):
            outs = [
                (out["path"], out["md5"]) for out in entry["outs"] if "timing" not in out["path"]
            ]
            wanted = [
                (out["path"], out["md5"]) for out in expected["outs"] if "timing" not in out["path"]
            ]
            assert outs == wanted, f"dvc.lock records for {stage} what it has not written"


def in_peace(project: Project) -> None:
    code = project.run()
    assert code == 0, "a run that nothing disturbs fails"
    check(project)
    differ = project.differences()
    assert not differ, f"other bytes than an undisturbed run: {differ}"


def report(tally: Tally, seed: int) -> None:
    for what, count in sorted(tally.counts.items()):
        print(f"{count:4}  {what}")
    print(
        f"{tally.num_faults} faults (seed {seed}; {tally.num_missed} came too late and are not "
        f"counted), {tally.num_rounds} runs in peace after them, each with the expected bytes"
    )
    for failure in tally.failures:
        print(f"FAILED: {failure}", file=sys.stderr)


if __name__ == "__main__":
    typer.run(chaos)
