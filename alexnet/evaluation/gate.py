"""The bar that a model has to reach before it is handed over."""

from dataclasses import asdict, dataclass
from typing import Any

from alexnet import config


@dataclass(frozen=True)
class Check:
    """One figure against its bar."""

    metric: str
    value: float
    threshold: float
    minimum: bool  # else at most

    @property
    def passed(self) -> bool:
        # Not the other way round: a figure that is not a number must not pass.
        return self.value >= self.threshold if self.minimum else self.value <= self.threshold

    def __str__(self) -> str:
        verdict = "reaches" if self.minimum else "stays within"
        if not self.passed:
            verdict = "is below" if self.minimum else "is above"
        return f"{self.metric} {self.value:.4f} {verdict} the bar of {self.threshold:.4f}"


def check(metrics: dict[str, Any], thresholds: config.Gate) -> list[Check]:
    """The checks that params.yaml asks for, on the figures of the evaluate stage."""
    checks = [Check("accuracy", metrics["accuracy"], thresholds.min_accuracy, minimum=True)]
    if thresholds.min_class_recall is not None:
        name, figures = min(metrics["per_class"].items(), key=lambda item: item[1]["recall"])
        checks.append(
            Check(f"recall of {name}", figures["recall"], thresholds.min_class_recall, minimum=True)
        )
    if thresholds.max_calibration_error is not None:
        value = metrics["calibration_error"]
        checks.append(
            Check("calibration error", value, thresholds.max_calibration_error, minimum=False)
        )
    return checks


def report(checks: list[Check], weights_sha256: str) -> dict[str, Any]:
    """What reports/gate.json holds; the digest ties the verdict to one file of weights."""
    return {
        "passed": all(check.passed for check in checks),
        "weights_sha256": weights_sha256,
        "checks": [asdict(check) | {"passed": check.passed} for check in checks],
    }
