"""`python -m tests.cuda.null_gpu PYTHON ARGUMENT...`: run a command on the null GPU."""

import os
import sys

from tests.cuda.null_gpu.build import CACHE, environment

command = sys.argv[1:]
os.execvpe(command[0], command, os.environ | environment(command[0], CACHE))
