"""The gate: thresholds that the metrics must meet before the model is exported."""

from dataclasses import asdict, dataclass
from typing import Any

from alexnet import config


@dataclass(frozen=True)
class Check:
    """One metric checked against its threshold."""

    metric: str
    value: float
    threshold: float
    minimum: bool  # whether the threshold is a minimum, else a maximum

    @property
    def passed(self) -> bool:
        """Whether the metric meets the threshold; NaN does not."""
        # Not `not value < threshold`, which NaN would pass.
        return self.value >= self.threshold if self.minimum else self.value <= self.threshold

    def __str__(self) -> str:
        verdict = "meets"
        if not self.passed:
            verdict = "is below" if self.minimum else "is above"
        return f"{self.metric} {self.value:.4f} {verdict} the threshold of {self.threshold:.4f}"


def check(metrics: dict[str, Any], thresholds: config.Gate) -> list[Check]:
    """The checks of `thresholds` on the metrics of the evaluate stage.

    metrics: as `evaluate.compute_metrics` returns them. A threshold of None is not checked.
    """
    checks = [Check("accuracy", metrics["accuracy"], thresholds.min_accuracy, minimum=True)]
    if thresholds.min_class_recall is not None:
        name, worst = min(metrics["per_class"].items(), key=lambda item: item[1]["recall"])
        checks.append(
            Check(f"recall of {name}", worst["recall"], thresholds.min_class_recall, minimum=True)
        )
    if thresholds.max_calibration_error is not None:
        value = metrics["calibration_error"]
        checks.append(
            Check("calibration error", value, thresholds.max_calibration_error, minimum=False)
        )
    return checks


def report(checks: list[Check], weights_sha256: str) -> dict[str, Any]:
    """The content of reports/gate.json; the digest ties the verdict to one file of weights."""
    return {
        "passed": all(check.passed for check in checks),
        "weights_sha256": weights_sha256,
        "checks": [asdict(check) | {"passed": check.passed} for check in checks],
    }
