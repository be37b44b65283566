import pytest

from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.report.run import training_facts


def test_what_training_says_of_itself(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"seconds": 12.5, "device": "cpu (2 threads), float32", "epoch": 3})
    assert training_facts(path) == (12.5, "cpu (2 threads), float32")


@pytest.mark.parametrize("missing", ["seconds", "device"])
def test_figures_of_another_version_are_told(tmp_path, missing):
    path = tmp_path / "metrics.json"
    facts = {"seconds": 12.5, "device": "cpu"}
    del facts[missing]
    write_json(path, facts)
    with pytest.raises(UserError, match=f"does not say '{missing}': another version of train"):
        training_facts(path)
