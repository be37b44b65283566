"""The gate: thresholds that the metrics must meet before the model is exported."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from alexnet import config
from alexnet.data.imbalance import Imbalance
from alexnet.errors import UserError
from alexnet.evaluation.results import Metrics
from alexnet.files import Finite, Sha256, Share, abbreviate, read_record, sha256


@dataclass(frozen=True)
class Check:
    """One metric checked against its threshold."""

    metric: str
    value: Finite
    threshold: Finite
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


@dataclass(frozen=True)
class Verdict:
    """The contents of reports/gate.json; the digest ties the verdict to one file of weights.

    Without any threshold there are no checks, and the model passes.
    Raises ValueError if it says to have passed although a check has not, or the reverse.
    """

    passed: bool
    weights_sha256: Sha256
    checks: tuple[Check, ...]
    balanced_accuracy: Share  # not checked, but to be read beside the accuracy
    imbalance_ratio: Annotated[Finite, Field(ge=1)]

    def __post_init__(self) -> None:
        if self.passed != all(check.passed for check in self.checks):
            raise ValueError(f"passed: the checks do not give {self.passed}")

    def __str__(self) -> str:
        """The checks that have failed, or else all."""
        failed = [check for check in self.checks if not check.passed]
        return (
            "; ".join(map(str, failed or self.checks)) or "nothing is checked, no threshold is set"
        )

    def as_dict(self) -> dict[str, Any]:
        """As in the file."""
        checks = [asdict(check) | {"passed": check.passed} for check in self.checks]
        return asdict(self) | {"checks": checks}


def judge(metrics: Metrics, thresholds: config.Gate, imbalance: Imbalance) -> Verdict:
    """The verdict on the metrics; a threshold of None is not checked.

    Raises UserError if a class whose recall is to be checked has no test image.
    """
    checks = []
    if thresholds.min_accuracy is not None:
        checks.append(Check("accuracy", metrics.accuracy, thresholds.min_accuracy, minimum=True))
    if thresholds.min_class_recall is not None:
        recalls = {n: row.recall for n, row in metrics.per_class.items() if row.recall is not None}
        if undefined := sorted(metrics.per_class.keys() - recalls):
            raise UserError(
                f"gate.min_class_recall: no test image of {abbreviate(undefined)}, so that recall "
                "is undefined; add some, or set it to null"
            )
        name, worst = min(recalls.items(), key=lambda item: item[1])
        checks.append(Check(f"recall of {name}", worst, thresholds.min_class_recall, minimum=True))
    if thresholds.max_calibration_error is not None:
        value = metrics.calibration_error
        checks.append(
            Check("calibration error", value, thresholds.max_calibration_error, minimum=False)
        )
    passed = all(check.passed for check in checks)
    return Verdict(
        passed, metrics.weights_sha256, tuple(checks), metrics.balanced_accuracy, imbalance.ratio
    )


def read_verdict(path: Path) -> Verdict:
    """Raises UserError if the file is missing, damaged or contradicts itself."""
    return read_record(path, Verdict, "run the stage gate again")


def verdict_on(weights: Path, path: Path) -> Verdict:
    """The verdict at `path`. Raises UserError as `read_verdict`, and if it is on other weights."""
    verdict = read_verdict(path)
    if verdict.weights_sha256 != sha256(weights):
        raise UserError(f"{path} belongs to other weights than {weights}; run `dvc repro`")
    return verdict


def require_passed(path: Path, weights: Path, otherwise: str) -> None:
    """Raises UserError unless the weights have passed the gate at `path`."""
    verdict = verdict_on(weights, path)
    if not verdict.passed:
        raise UserError(f"the model did not pass the gate ({path}: {verdict}); {otherwise}")
