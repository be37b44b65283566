"""`python -m tests.cuda.null_gpu PYTHON ARGUMENT...`: run a command on the null GPU.

Every Python that the command starts imports `tests.cuda.null_gpu.device` first.
"""

import os
import sys

from tests.cuda.null_gpu.build import CACHE, HERE, environment

command = sys.argv[1:]
variables = environment(command[0], CACHE)
variables["PYTHONPATH"] = os.pathsep.join([str(HERE / "startup"), variables["PYTHONPATH"]])
os.execvpe(command[0], command, os.environ | variables)
