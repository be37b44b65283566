import numpy as np
import pytest
from scipy.stats import binomtest

from alexnet.evaluation.mcnemar import mcnemar


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 1), (5, 5), (3, 17), (700, 612)])
def test_the_p_value_is_that_of_the_binomial_test(only_first, only_second):
    first = np.repeat([True, False, True, False], [only_first, only_second, 9, 4])
    second = np.repeat([False, True, True, False], [only_first, only_second, 9, 4])
    test = mcnemar(first, second)
    assert (test.only_first, test.only_second) == (only_first, only_second)
    expected = binomtest(only_first, only_first + only_second).pvalue
    assert test.p_value == pytest.approx(expected)


def test_networks_that_never_disagree_do_not_differ():
    assert mcnemar(np.ones(3, bool), np.ones(3, bool)).p_value == 1
