"""`python -m tests.cuda.null_gpu PYTHON ARGUMENT...`: run a command on the null GPU.

Every Python that the command starts imports `tests.cuda.null_gpu.device` first. The stages judge
values, which have no meaning here: `python -m tests.cuda.programs.stages train` runs them without.
"""

import os
import shutil
import sys

from tests.cuda.null_gpu.build import CACHE, HERE, CannotBuild, environment

command = sys.argv[1:]
if not command or not shutil.which(command[0]):
    sys.exit("usage: python -m tests.cuda.null_gpu PYTHON ARGUMENT...")
try:
    variables = environment(command[0], CACHE)
except CannotBuild as error:
    sys.exit(f"error: {error}")
variables["PYTHONPATH"] = os.pathsep.join([str(HERE / "startup"), variables["PYTHONPATH"]])
os.execvpe(command[0], command, os.environ | variables)
