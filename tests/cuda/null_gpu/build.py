"""Builds the stubs for a Python's torch, and names the environment that puts them in place."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".pytest_cache" / "null-gpu"
LIBRARIES = ("torch_cuda", "c10_cuda", "torch_python", "torch_cuda_linalg", "torch_nvshmem")
NEEDED = r" U (cublas\w+|cuda[A-Z]\w+|__cuda\w+|nccl\w+)"  # in what nm lists as undefined

# What the stubs of some names do; the others return 0, success.
CREATE = "(void** handle) { *handle = malloc(4096); return 0; }"
GET_MODE = "(void*, int* mode) { *mode = 0; return 0; }"
# The ninth argument is the algorithm, which is all zeros; the tenth how many there are.
HEURISTIC = (
    "(void*, void*, void*, void*, void*, void*, void*, int, char* found, int* number)"
    " { *number = 1; memset(found, 0, 96); return 0; }"
)
HEAD = """\
#include <stdlib.h>
#include <string.h>
extern "C" {
void null_gpu_launch(const char*);
void null_gpu_unhandled(const char*);
"""
ASK = """
import json, nvidia, sysconfig, torch
from pathlib import Path
print(json.dumps({
    "torch": torch.__version__,
    "libraries": str(Path(torch.__file__).parent / "lib"),
    "headers": [str(path) for path in Path(nvidia.__path__[0]).glob("*/include/driver_types.h")],
    "python_headers": sysconfig.get_paths()["include"],
}))
"""


class CannotBuild(Exception):  # noqa: N818 (not an error where no compiler is)
    """The null GPU cannot be built here; the message says what is missing."""


def environment(python: str, cache: Path) -> dict[str, str]:
    """The variables with which `python` runs on the null GPU.

    The stubs are built in a folder of `cache` once, and again if they or torch change.
    Raises CannotBuild.
    """
    asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True)
    if asked.returncode:
        raise CannotBuild(f"{python} has no torch for CUDA: {asked.stderr[-300:]}")
    facts = json.loads(asked.stdout)
    if not facts["headers"]:
        raise CannotBuild(f"{python} has no package with CUDA's headers (nvidia-cuda-runtime)")
    if not shutil.which("g++") or not (shutil.which("gcc") or shutil.which("cc")):
        raise CannotBuild("needs g++ and a C compiler (apt-get install g++)")
    if not Path(facts["python_headers"], "Python.h").exists():
        raise CannotBuild("needs Python's headers (apt-get install python3-dev)")
    key = hashlib.sha256(asked.stdout.encode())
    for path in sorted(HERE.rglob("*")):
        if path.suffix in {".cpp", ".h", ".py"}:
            key.update(path.read_bytes())
    built = cache / key.hexdigest()[:16]
    if not built.exists():
        # Of the version that this torch was built for: structures differ between versions.
        build(Path(facts["libraries"]), Path(facts["headers"][0]).parent, built)
    return {
        "LD_PRELOAD": str(built / "libnull.so"),
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, [str(built / "driver"), os.environ.get("LD_LIBRARY_PATH")])
        ),
        "TRITON_LIBCUDA_PATH": str(built / "driver"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def build(libraries: Path, headers: Path, target: Path) -> None:
    """Compile the stubs into the folder `target`, which appears complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        new = Path(folder, "new")
        (new / "driver").mkdir(parents=True)
        (new / "others.cpp").write_text(other_stubs(libraries))
        sources = [path for path in HERE.glob("*.cpp") if path.name != "driver.cpp"]
        include = [f"-I{HERE / 'include'}", f"-I{headers}"]
        compile_(*include, *sources, new / "others.cpp", "-o", new / "libnull.so")
        driver = new / "driver" / "libcuda.so.1"
        compile_("-Wl,-soname,libcuda.so.1", HERE / "driver.cpp", "-ldl", "-o", driver)
        if not target.exists():  # another process may have been faster
            new.rename(target)


def compile_(*arguments: object) -> None:
    options = ["-shared", "-fPIC", "-O1", "-w", "-std=c++17"]
    result = subprocess.run(["g++", *options, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        raise CannotBuild(result.stderr[-2000:])


def other_stubs(libraries: Path) -> str:
    """C++ with a weak stub for each CUDA, cuBLAS and NCCL function that this torch asks for.

    Those of the other files replace theirs.
    """
    names = set()
    for name in LIBRARIES:
        library = libraries / f"lib{name}.so"
        if library.exists():
            command = ["nm", "-D", "--undefined-only", str(library)]
            listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            names |= set(re.findall(NEEDED, listed))
    functions = [f"int __attribute__((weak)) {name}{stub(name)}" for name in sorted(names)]
    return "\n".join([HEAD, *functions, "}\n"])


def stub(name: str) -> str:
    """The arguments and the body of a function."""
    if name.startswith("cublas"):
        if "Create" in name:
            return CREATE
        if name in {"cublasGetMathMode", "cublasGetPointerMode_v2"}:
            return GET_MODE
        if name == "cublasLtGetVersion":
            return "() { return 130000; }"
        if name == "cublasLtMatmulAlgoGetHeuristic":
            return HEURISTIC
        if re.search(r"[Gg]emm|gemv|[Dd]ot|LtMatmul$", name):
            return f'() {{ null_gpu_launch("{name}"); return 0; }}'
        return "() { return 0; }"
    if name.startswith("nccl"):
        return "() { return 0; }"
    return f'() {{ null_gpu_unhandled("{name}"); return 0; }}'
