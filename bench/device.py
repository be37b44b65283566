"""What only a GPU can show, by one command: is it right, how fast is it, what trains best?

    python3 -m bench.device right --out DIR --images ARCHIVE    # 260 seconds at most
    python3 -m bench.device fast --out DIR --images ARCHIVE     # 230 seconds at most
    python3 -m bench.device tune --out DIR --images ARCHIVE     # 400 seconds at most
    python3 -m bench.device final --out DIR --images ARCHIVE    # 120 seconds at most

The last two are of the recipe in --params. The factors of `tune` are those of the preset `fast`:

    cp params.yaml fast.yaml && python3 -m stages.preset fast --params fast.yaml
    python3 -m bench.device tune --params fast.yaml --out DIR --images ARCHIVE

It is made for a machine that is lent for minutes. It needs a GPU, a C compiler, Python 3.12 and
torch 2.11 with torchvision, but neither a network nor DVC. Beside them it imports:

- numpy, Pillow, requests, rich, safetensors and typer;
- for the tests pytest, pytest-timeout, pytest-xdist and scikit-learn;
- for evaluation and export jinja2, onnx, onnxruntime and onnxscript;
- pydantic (with annotated-types, pydantic-core and typing-inspection), ruamel.yaml,
  in-toto-attestation and Pillow 13, which images with PyTorch often lack.

Wheels of what is missing travel beside the checkout:

    pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \\
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --dest wheels \\
        pillow pydantic pydantic-core==<the version that pydantic asks for> annotated-types \\
        typing-inspection ruamel.yaml in-toto-attestation

    pip install --no-index --no-deps --target site wheels/*.whl    # there
    export PYTHONPATH=$PWD/site

Each part runs in a child process within a deadline, and everything is written as it goes: a suite's
figures to `right.json` and so on, the same to read to `right.txt`, the output of commands to
`tests.txt` and `stages.txt`. A part that fails is recorded, and the next one runs. The exit code is
1 if a part failed or a check did not pass.

`--rehearse` makes everything small, for a machine that stands in for a GPU and computes nothing:
checks are then recorded but not judged, and no figure has a meaning.
"""

import enum
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from alexnet import config
from alexnet.cli.app import fail, run
from alexnet.files import check_writable
from bench import device_report
from bench.parts import Part, Report, run_parts
from stages.paths import PARAMS, ParamsFile

WORK = Path(tempfile.gettempdir()) / "alexnet-bench-device"


class Suite(enum.StrEnum):
    right = "right"
    fast = "fast"
    tune = "tune"
    final = "final"


SECONDS = {Suite.right: 260.0, Suite.fast: 230.0, Suite.tune: 400.0, Suite.final: 120.0}
REHEARSAL_SLACK = 5  # times as long: it compiles on a few cores


def parts_of(suite: Suite) -> list[Part]:
    # Only here: the children import torch with these, and so must this process, to name them.
    from bench import device_checks as checks
    from bench import device_setup, device_speed, device_values, sweep

    first = [
        Part("environment", checks.environment, 30),
        Part("data", device_setup.prepare_data, 120),
    ]
    if suite is Suite.right:
        return [
            *first,
            Part("equality", checks.equality, 110),
            Part("evaluation", device_values.evaluation, 40),
            Part("kernels", device_speed.kernels, 40),
            Part("stages", checks.stages, 120, is_alone=True),
            Part("tests", checks.gpu_tests, 150, is_alone=True),
        ]
    if suite is Suite.tune:
        return [*first, Part("sweep", sweep.sweep, 400)]
    if suite is Suite.final:
        return [*first, Part("final", sweep.final, 120)]
    return [
        *first,
        Part("cold run", device_speed.cold_run, 90, is_alone=True),
        Part("warm run", device_speed.whole_run, 60, is_alone=True),
        Part("compilation", device_speed.compile_sizes, 60, is_alone=True),
        Part("growth", device_speed.growth, 60),
    ]


def bench(
    suite: Annotated[Suite | None, typer.Argument(show_default="both")] = None,
    out: Annotated[Path, typer.Option(help="The folder of results.")] = Path("reports/device"),
    images: Annotated[
        str | None,
        typer.Option(help="An archive or folder of images.", show_default="params.yaml's data"),
    ] = None,
    params: ParamsFile = PARAMS,
    part: Annotated[list[str] | None, typer.Option(help="Only this part; repeatable.")] = None,
    work: Annotated[
        Path, typer.Option(help="Data and compiled code, kept for a next call.")
    ] = WORK,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Of a suite at most.", show_default="its own")
    ] = None,
    rehearse: Annotated[bool, typer.Option(help="Small, and without judging any value.")] = False,
) -> None:
    """Show on a GPU that training is right, how fast it is, and which settings are best."""
    values = config.load(params)
    if images and not Path(images).exists():
        fail(f"--images: {images} does not exist")
    suites = {each: parts_of(each) for each in ([suite] if suite else Suite)}
    names = list(dict.fromkeys(each.name for parts in suites.values() for each in parts))
    if unknown := set(part or ()) - set(names):
        fail(f"--part: there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    changes: dict[str, object] = {}
    if images:
        changes = {"name": "folder", "source": str(Path(images).absolute()), "sha256": None}
    elif rehearse:
        changes = {"name": "digits", "source": None, "sha256": None}  # it needs no download
    values = values.model_copy(update={"data": values.data.model_copy(update=changes)})

    from alexnet.training.device import resolve_device
    from bench.device_setup import Setup

    resolve_device("cuda")  # without a GPU there is nothing to show

    setup = Setup(values, work.absolute(), out.absolute(), rehearse)
    for option, folder in (("--work", setup.work), ("--out", setup.out)):
        try:
            check_writable(folder)
        except OSError as error:
            fail(f"{option}: {folder} cannot be written ({error.strerror}); choose another folder")
    slack = REHEARSAL_SLACK if rehearse else 1
    failures = []
    for each, parts in suites.items():
        chosen = [
            replace(one, seconds=slack * one.seconds)
            for one in parts
            if not part or one.name in part
        ]
        head = {"suite": each.value, "is_rehearsal": rehearse}
        report = Report(setup.out, each.value, head, device_report.render)
        run_parts(chosen, setup, report, seconds or slack * SECONDS[each])
        print((setup.out / f"{each.value}.txt").read_text())
        failures += report.failures
    if failures:
        fail(f"{len(failures)} failed; see {out}")


if __name__ == "__main__":
    run(bench)
