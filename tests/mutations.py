"""Mutations of the core, each of which some quick test has to catch.

    python -m tests.mutations            # all of them
    python -m tests.mutations gate muon  # those whose name contains one of these words

Each mutation replaces one piece of text in a copy of the tree and runs the tests that should
fail of it, which is reported as `red`. The exit code is 1 if a mutation survives, if its text
is no longer found exactly once, if its tests cannot run, or if they fail without a mutation.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Mutation:
    """One defect: `old` becomes `new` in `file`; `tests` are pytest's arguments."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    # data
    Mutation(
        "dropped digest check of a download",
        "alexnet/data/verify.py",
        "    if found == file.sha256:\n",
        "    if found:\n",
        "tests/data/test_download.py",
    ),
    Mutation(
        "path traversal in an archive",
        "alexnet/data/members.py",
        'if path.is_absolute() or ".." in path.parts:',
        "if path.is_absolute():",
        "tests/data/test_archive.py",
    ),
    Mutation(
        "val and test images drawn from the same place",
        "alexnet/data/splits.py",
        "            start = stop\n",
        "",
        "tests/data/test_splits.py",
    ),
    # ground floor
    Mutation(
        "atomic_write without the temporary file",
        "alexnet/files.py",
        "        yield temporary\n",
        "        import shutil\n        yield path\n        shutil.copyfile(path, temporary)\n",
        "tests/test_files.py",
    ),
    Mutation(
        "atomic_write without fsync",
        "alexnet/files.py",
        "        fsync(temporary)\n",
        "",
        "tests/test_files.py",
    ),
    Mutation(
        "epochs in the same order: seed without the epoch",
        "alexnet/training/loader.py",
        'generator_for(seed, "order", epoch)',
        'generator_for(seed, "order")',
        "tests/training/test_train_seed.py",
    ),
    # network
    Mutation(
        "LRN alpha of the paper, which PyTorch divides by 5",
        "alexnet/network/model.py",
        "self.lrn1 = LocalResponseNorm(size=5, alpha=5e-4",
        "self.lrn1 = LocalResponseNorm(size=5, alpha=1e-4",
        "tests/network/test_model.py -k local_response",
    ),
    Mutation(
        "receptive field start without the stride",
        "alexnet/network/summary.py",
        "start -= padding * field_stride",
        "start -= padding",
        "tests/network/test_receptive_field.py",
    ),
    Mutation(
        "collapse without dividing by Scale",
        "alexnet/network/collapse.py",
        "weight.sum(dim=2) / scale.length",
        "weight.sum(dim=2)",
        "tests/network/test_collapse.py -k collapsing",
    ),
    Mutation(
        "wrong sign in the update",
        "alexnet/network/reference/descent.py",
        "weight.sub_(learning_rate * lookahead)",
        "weight.add_(learning_rate * lookahead)",
        "tests/network/test_reference.py -k nesterov",
    ),
    Mutation(
        "wrong normalisation constant",
        "alexnet/network/inputs.py",
        "    scale = torch.as_tensor(std, device=images.device) * 255\n",
        "    scale = torch.as_tensor(std, device=images.device) * 256\n",
        "tests/network/test_inputs.py",
    ),
    Mutation(
        "BatchNorm buffers lost from the weights",
        "alexnet/network/weights.py",
        "in model.state_dict().items()",
        "in model.named_parameters()",
        "tests/network/test_any_layers.py -k weights",
    ),
    # evaluation
    Mutation(
        "skipped gate",
        "alexnet/evaluation/gate.py",
        "passed = all(check.passed for check in checks)",
        "passed = True",
        "tests/evaluation/test_gate.py",
    ),
    Mutation(
        "calibration error with a bin too few",
        "alexnet/evaluation/metrics.py",
        "(confidence * num_bins).astype(int)",
        "(confidence * (num_bins - 1)).astype(int)",
        "tests/evaluation/test_metrics.py",
    ),
    # export, inference
    Mutation(
        "int8 exported whatever its accuracy",
        "alexnet/export/quantisation.py",
        "        if reasons:\n            path.unlink()\n",
        "        if False:\n            path.unlink()\n",
        "tests/export/test_quantisation.py",
    ),
    Mutation(
        "verify skips a kind of file",
        "alexnet/inference/verification.py",
        "    for name in sorted(listed.keys() & present.keys()):\n",
        "    for name in sorted(set(listed) & set(present) - {'model.onnx'}):\n",
        "tests/inference/test_verification.py",
    ),
    # training
    Mutation(
        "crop off by one",
        "alexnet/training/transforms.py",
        "torch.randint(-padding, last + 1, (n, 2), generator=generator)",
        "torch.randint(-padding, last, (n, 2), generator=generator)",
        "tests/training/test_augmentation_transforms.py",
    ),
    Mutation(
        "augmentations that are the same in every epoch: seed without the epoch",
        "alexnet/training/transforms.py",
        "generator_for(seed, self.name, epoch)",
        "generator_for(seed, self.name)",
        "tests/training/test_augmentation.py tests/training/test_augmentation_transforms.py",
    ),
    Mutation(
        "average without its bias correction",
        "alexnet/training/averaging.py",
        "total_weight = 1 - self.decay**num_steps",
        "total_weight = 1.0",
        "tests/training/test_optimizer.py -k average",
    ),
    Mutation(
        "BatchNorm buffers lost from the average",
        "alexnet/training/averaging.py",
        "names = [name for name, value in self.live.items() if value.is_floating_point()]",
        "names = [name for name, _ in network.named_parameters()]",
        "tests/training/test_optimizer.py -k average",
    ),
    Mutation(
        "BatchNorm buffers lost from the checkpoint",
        "alexnet/training/state.py",
        '"network": self.network.state_dict(),',
        '"network": dict(self.network.named_parameters()),',
        "tests/training/test_resume.py",
    ),
    Mutation(
        "dropped digest check of a checkpoint",
        "alexnet/training/checkpoint.py",
        "if digest.read_bytes().strip() != sha256(path).encode():",
        "if False:",
        "tests/training/test_checkpoint.py",
    ),
    Mutation(
        "resumed one step too late",
        "alexnet/training/state.py",
        "distributed.all_reduce_max(checkpoint.step if checkpoint else 0)",
        "distributed.all_reduce_max(checkpoint.step + 1 if checkpoint else 0)",
        "tests/training/test_resume.py",
    ),
    Mutation(
        "Muon without momentum",
        "alexnet/training/muon.py",
        'momentum = group["momentum"]',
        "momentum = 0.0",
        "tests/training/test_muon.py",
    ),
    Mutation(
        "batch normalisation folded without its mean",
        "alexnet/training/batch_norm.py",
        "(shift - scale * mean)",
        "shift",
        "tests/training/test_batch_norm.py",
    ),
    Mutation(
        "label smoothing ignored",
        "alexnet/training/trainer.py",
        "label_smoothing=params.label_smoothing)",
        "label_smoothing=0.0)",
        "tests/training/test_trainer.py -k gradient_of_the_mean",
    ),
]


def main(words: list[str]) -> int:
    """Run the mutations whose name contains one of the words (all without a word)."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        results = [report(tree, mutation) for mutation in chosen]
    print(f"{sum(results)} of {len(results)} red")
    return 0 if results and all(results) else 1


def copy_tree(tree: Path) -> None:
    """Copy all files that git tracks or does not ignore, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)


def report(tree: Path, mutation: Mutation) -> bool:
    """Run the tests without and with a mutation; prints the result, returns whether it is red."""
    path = tree / mutation.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    start = time.monotonic()
    if (count := text.count(mutation.old)) != 1:
        result = f"NOT APPLIED: its text is {count} times in {mutation.file}"
    elif (before := run_tests(tree, mutation.tests)).returncode != 0:
        print(before.stdout[-2000:])
        result = f"NOT RUN: {mutation.tests} fails without a mutation"
    else:
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        code = run_tests(tree, mutation.tests).returncode
        path.write_text(text, encoding="utf-8")
        # 1: tests have failed. Others: none was found, or pytest itself could not run.
        result = {0: "SURVIVED", 1: "red"}.get(code, f"NOT RUN: pytest's exit code is {code}")
    print(f"{result}  {mutation.name} ({time.monotonic() - start:.0f} s)", flush=True)
    return result == "red"


def run_tests(tree: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in `tree`."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider"]
    # Without bytecode: a mutation within a second could be taken for the file before it.
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [*command, *arguments.split()],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
