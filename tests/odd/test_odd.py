"""Each odd input gives what is expected of it."""

import pytest

from tests.odd.__main__ import all_cases

CASES = all_cases()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_gives_what_is_expected(case, tmp_path):
    outcome = case.run(tmp_path)
    assert case.is_as_expected(outcome), outcome


def test_each_has_a_name_of_its_own():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
