"""gate: fails the run if the model is below a threshold."""

import logging

from alexnet.cli.app import fail, run
from alexnet.evaluation.gate import check, report
from alexnet.files import read_json, write_json
from stages import paths
from stages.params import load
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.gate")


def gate(params: ParamsFile = PARAMS) -> None:
    """Check the test metrics against the thresholds in params.yaml; fail the run below them."""
    paths.GATE.unlink(missing_ok=True)  # an earlier verdict would let a model pass that fails now
    thresholds = load(params).gate
    metrics = read_json(paths.METRICS)
    checks = check(metrics, thresholds)
    write_json(paths.GATE, report(checks, metrics["weights_sha256"]))
    failed = [str(result) for result in checks if not result.passed]
    if failed:
        fail(
            f"gate: {'; '.join(failed)}. Nothing is exported: train better, or change the "
            f"threshold under gate in {params}"
        )
    logger.info("gate: " + "; ".join(map(str, checks)))


if __name__ == "__main__":
    run(gate)
