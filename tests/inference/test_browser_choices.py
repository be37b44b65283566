"""What the page of deploy/browser loads first, by Node.js: no browser is needed for that."""

import json
import shutil
import subprocess

import pytest

from tests.inference.browser import PAGE

NODE = shutil.which("node")


def row(num_bytes, accuracy_drop):
    return {"bytes": num_bytes, "accuracy_drop": accuracy_drop}


SMALL = {"fp32": row(400, 0.0), "fp16": row(200, 0.0), "int8": row(100, 0.004)}
COARSE = SMALL | {"int8": row(100, 0.006)}


@pytest.mark.skipif(NODE is None, reason="needs Node.js")
@pytest.mark.parametrize(
    ("precisions", "gpu", "expected"),
    [
        (SMALL, {"reason": "none"}, "cpu int8, cpu fp16, cpu fp32"),
        (COARSE, {"reason": "none"}, "cpu fp16, cpu fp32, cpu int8"),
        (
            SMALL,
            {"float16": True, "reason": ""},
            "gpu fp16, gpu fp32, cpu int8, cpu fp16, cpu fp32",
        ),
        (SMALL, {"float16": False, "reason": ""}, "gpu fp32, cpu int8, cpu fp16, cpu fp32"),
        (SMALL, {"float16": False, "reason": "slow"}, "cpu int8, cpu fp16, cpu fp32, gpu fp32"),
        ({"fp32": row(400, 0.0)}, {"float16": True, "reason": ""}, "gpu fp32, cpu fp32"),
    ],
)
def test_the_smallest_good_file_on_the_best_device_comes_first(precisions, gpu, expected):
    code = f"""
        import {{ choices }} from "{(PAGE / "engine.js").as_uri()}";
        const ranked = choices({json.dumps(precisions)}, {json.dumps(gpu)});
        console.log(ranked.map((choice) => choice.device + " " + choice.precision).join(", "));
    """
    command = [str(NODE), "--no-warnings", "--input-type=module", "--eval", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr
