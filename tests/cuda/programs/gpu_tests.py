"""`gpu_tests FOLDER FILE...`: the tests marked `gpu` in these files, rehearsed.

Values mean nothing here: what compares tensors finds them equal.
"""

import json
import sys

import pytest
import torch

from tests.cuda.null_gpu import device
from tests.cuda.programs import training  # noqa: F401 (what checks values is left out)


class Failures:
    """What each test failed with: the line of its own that did not hold, or the error."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}
        self.num_run = 0

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        self.num_run += call.when == "call"
        if call.excinfo and call.excinfo.errisinstance(AssertionError):
            lines = [entry for entry in call.excinfo.traceback if entry.path == item.path]
            self.by_test[item.nodeid] = str(lines[-1].statement).strip()
        elif call.excinfo:
            self.by_test[item.nodeid] = call.excinfo.exconly()
        return report


if __name__ == "__main__":  # not in the processes that a test starts
    torch.equal = lambda *tensors: True
    torch.testing.assert_close = lambda *tensors, **tolerances: None
    failures = Failures()
    options = ["-q", "-n", "0", "-m", "gpu", "-p", "no:cacheprovider", "--durations=0"]
    pytest.main([*options, "--basetemp", *sys.argv[1:]], plugins=[failures])
    violations = device.record().violations
    print(
        json.dumps({"num": failures.num_run, "failed": failures.by_test, "violations": violations})
    )
