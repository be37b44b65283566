"""Times in words: those of a GPU are a thousandth of a CPU's, and neither may round to nothing."""

import pytest

from alexnet.progress import format_seconds, significant


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (5400, "1.50 h"),
        (75, "1.25 min"),
        (19.24, "19.2 s"),
        (0.27, "270 ms"),
        (2.71e-6, "2.71 µs"),
        (4e-9, "0.00400 µs"),
        (0, "0.00 µs"),
    ],
)
def test_a_time_keeps_three_digits_in_any_unit(seconds, expected):
    assert format_seconds(seconds) == expected


def test_digits_before_the_point_are_all_there():
    assert significant(12345.6) == "12,346"
    assert significant(1.25, digits=2) == "1.2"
