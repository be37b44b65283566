"""The rows of summary's tables, cell by cell."""

import pytest

from alexnet.cli.inspection import inspect
from alexnet.cli.tables import costs, in_bytes, notes, shapes


def row(table, name):
    (found,) = (row for row in table.rows if row[0] == name)
    return found


def test_shapes_and_receptive_fields():
    table = shapes(inspect("imagenet-2012", None, None, 3))
    assert row(table, "conv2") == [
        *("conv2", "conv, 2 groups", "256x27x27", "5", "1", "2", "51", "8", "9.5"),
    ]
    assert row(table, "pool1") == ["pool1", "max pool", "96x27x27", "3", "2", "0", "19", "8", "9.5"]
    assert row(table, "fc1") == ["fc1", "fc", "4096", "", "", "", "all", "", ""]


def test_costs():
    """conv1 of 32x32: 34,944 of 58,322,314 parameters; 24,576 bytes out, 12,288 in."""
    table = costs(inspect("cifar", None, None, 3))
    arithmetic_intensity = f"{2 * 2_230_272 / (4 * (3072 + 6144 + 34_944)):.3g}"
    assert row(table, "conv1") == [
        *(
            "conv1",
            "34,944",
            "0.1 %",
            "2,230,272",
            "1.8 %",
            "24.6 kB",
            "12.3 kB",
            arithmetic_intensity,
        ),
    ]
    assert row(table, "conv2")[6] == "", "relu1's output is conv2's input, and saved already"
    assert table.total == ["total", "58,322,314", "", "123,987,968", "", "457 kB", "308 kB", ""]


@pytest.mark.parametrize("make", [shapes, costs])
@pytest.mark.parametrize("variant", ["cifar", "imagenet-2012", "one-weird-trick"])
def test_each_row_has_a_cell_under_each_heading(make, variant):
    table = make(inspect(variant, None, None, 3, batch_size=4))
    lengths = {len(row) for row in [*table.rows, *([table.total] if table.total else [])]}
    assert lengths == {len(table.headings)}
    lines = table.markdown().splitlines()[2:]
    assert {line.count("|") for line in lines} == {len(table.headings) + 1}


def test_collapse_fc1_is_mentioned_where_it_applies():
    assert "train.collapse_fc1" in " ".join(notes(inspect("cifar", 32, None, 3)))
    assert "train.collapse_fc1" not in " ".join(notes(inspect("cifar", 64, None, 3)))


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (812, "812 B"), (24_576, "24.6 kB"), (233_289_256, "233 MB"), (10**9, "1.0 GB")],
)
def test_bytes(number, text):
    assert in_bytes(number) == text
