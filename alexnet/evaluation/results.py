"""What evaluate writes: its metrics, and a row for each test image."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from alexnet.escape import ClassName
from alexnet.evaluation import metrics
from alexnet.files import Count, NotNegative, Sha256, Share, read_record

ADVICE = "run the stage evaluate again"


@dataclass(frozen=True)
class ClassMetrics:
    """Of one class; `support` is the number of its images. Without any, its recall is None."""

    precision: Share
    recall: Share | None
    support: Annotated[int, Field(ge=0)]

    def __post_init__(self) -> None:
        if (self.recall is None) != (self.support == 0):
            raise ValueError("recall: should be null for a class without images, and for no other")


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The contents of reports/evaluate/metrics.json; None: not measured."""

    n: Count
    accuracy: Share
    loss: NotNegative
    calibration_error: Share
    top5_accuracy: Share | None = None  # with more than five classes
    per_class: Annotated[dict[ClassName, ClassMetrics], Field(min_length=1)]
    accuracy_mirrored: Share | None = None  # evaluate.views
    accuracy_shifted: Share | None = None
    accuracy_ten_crop: Share | None = None
    linear_probe_accuracy: Share | None = None  # of a parent's features (model.start_from)
    weights_sha256: Sha256

    def __post_init__(self) -> None:
        if not any(row.support for row in self.per_class.values()):
            raise ValueError("per_class: should have a class with images")

    @property
    def balanced_accuracy(self) -> float:
        """From the recalls in the file: its own value is for people and `dvc metrics show`."""
        recalls = [row.recall for row in self.per_class.values()]
        return metrics.balanced_accuracy(np.array(recalls, np.float64))  # None becomes NaN

    def as_dict(self) -> dict[str, Any]:
        """As in the file."""
        measured = {key: value for key, value in asdict(self).items() if value is not None}
        return measured | {"balanced_accuracy": self.balanced_accuracy}


def read_metrics(path: Path) -> Metrics:
    """Raises UserError if the file is missing, or a metric is missing or impossible."""
    return read_record(path, Metrics, ADVICE)


@dataclass(frozen=True)
class PredictionRow:
    """A row of reports/evaluate/predictions.csv; the classes as `escape.for_csv` writes them."""

    index: Annotated[int, Field(ge=0)]  # of the image in the test split
    actual: str
    predicted: str
    confidence: Share  # probability of the predicted class
