"""An artifact in all precisions, for the modules that only read it."""

import pytest

from alexnet.inference.predictor import MODEL_FILENAMES
from tests.artifacts import LAX, export_small


@pytest.fixture(scope="session")
def in_all_precisions(tmp_path_factory):
    """Of a narrow network; the precisions are named in another order than the manifest's."""
    folder = tmp_path_factory.mktemp("precisions") / "artifacts"
    return export_small(folder, precisions=list(MODEL_FILENAMES)[::-1], **LAX)
