"""gate: fails the run if the model is below a threshold."""

import logging

from alexnet.cli.app import fail, run
from alexnet.data.dataset import load_meta
from alexnet.data.imbalance import imbalance_of
from alexnet.evaluation.gate import judge
from alexnet.evaluation.results import read_metrics
from alexnet.files import write_json
from stages import paths
from stages.params import load
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.gate")


def gate(params: ParamsFile = PARAMS) -> None:
    """Check the test metrics against the thresholds in params.yaml; fail the run below them."""
    paths.GATE.unlink(missing_ok=True)  # first: whatever fails, no earlier verdict stays
    thresholds = load(params).gate
    metrics = read_metrics(paths.METRICS)
    imbalance = imbalance_of(load_meta(paths.PROCESSED).counts)
    verdict = judge(metrics, thresholds, imbalance)
    write_json(paths.GATE, verdict.as_dict())
    if imbalance.is_high:
        unchecked = "; gate.min_class_recall is null, so that no class's recall is checked"
        logger.warning(
            f"class imbalance: {imbalance}; balanced accuracy {verdict.balanced_accuracy:.4f}"
            f"{unchecked if thresholds.min_class_recall is None else ''}"
        )
    failed = [str(check) for check in verdict.checks if not check.passed]
    if failed:
        fail(
            f"gate: {'; '.join(failed)}. Nothing is exported: train better, or change the "
            f"threshold under gate in {params}"
        )
    logger.info("gate: " + "; ".join(map(str, verdict.checks)))


if __name__ == "__main__":
    run(gate)
