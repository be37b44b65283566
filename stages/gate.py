"""gate: whether the model may be exported."""

import logging
from typing import Annotated

import typer

from alexnet.data.dataset import load_meta
from alexnet.data.imbalance import imbalance_of
from alexnet.evaluation.gate import judge, require_passed
from alexnet.evaluation.results import read_metrics
from alexnet.files import write_json
from stages import paths
from stages.command import run
from stages.params import load
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.gate")
Check = Annotated[
    bool, typer.Option("--check", help="Judge nothing: fail if the model did not pass.")
]


def gate(params: ParamsFile = PARAMS, check: Check = False) -> None:
    """Check the test metrics against the thresholds in params.yaml.

    A model below them is recorded as any other, so that experiments can be compared, and is never
    exported. `--check` is for whoever needs a model: `make repro` and CI fail by it.
    """
    if check:
        return require_passed(paths.GATE, paths.WEIGHTS, "nothing was exported")
    paths.GATE.unlink(missing_ok=True)  # first: whatever fails, no earlier verdict stays
    thresholds = load(params).gate
    metrics = read_metrics(paths.METRICS)
    imbalance = imbalance_of(load_meta(paths.PROCESSED).counts)
    verdict = judge(metrics, thresholds, imbalance)
    write_json(paths.GATE, verdict.as_dict())
    # What DVC's tables show: two figures, for a table that is narrow enough to read.
    percent = round(100 * metrics.accuracy, 2)
    write_json(paths.SUMMARY, {"test_accuracy_percent": percent, "gate_passed": verdict.passed})
    if imbalance.is_high:
        unchecked = "; gate.min_class_recall is null, so that no class's recall is checked"
        logger.warning(
            f"class imbalance: {imbalance}; balanced accuracy {verdict.balanced_accuracy:.4f}"
            f"{unchecked if thresholds.min_class_recall is None else ''}"
        )
    if verdict.passed:
        logger.info(f"gate: {verdict}")
    else:
        logger.warning(
            f"gate: {verdict}. The run is recorded, and the model is not exported: train better, "
            f"or change the threshold under gate in {params}"
        )


if __name__ == "__main__":
    run(gate)
