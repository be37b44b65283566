"""What the images hold: `pytest -m container -n 0`."""

import json
import subprocess

import pytest

from tests.engines import (
    ENGINE,
    IMAGES,
    LOCKED,
    SERVE_IMAGE,
    TRAIN_IMAGE,
    engine,
    inspect_image,
    needs,
)


def of(*images: str) -> pytest.MarkDecorator:
    """Runs a test in each of these images."""
    return pytest.mark.parametrize(
        "image", [pytest.param(image, marks=needs(image)) for image in images]
    )


@of(TRAIN_IMAGE)
def test_the_training_image_carries_the_stages(image):
    """Where no project is mounted, they come from the image; else from the project."""
    program = "import stages; print(stages.__file__)"
    where = engine("run", "--rm", image, "python", "-c", program)
    assert where == "/opt/alexnet/pipeline/stages/__init__.py"


@of(SERVE_IMAGE)
def test_the_serving_image_is_small_and_has_no_pytorch(image):
    assert inspect_image(image)["Size"] < 450e6
    program = "import onnxruntime, alexnet; import torch"
    command = [ENGINE, "run", "--rm", *LOCKED, image, "python", "-c", program]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 1
    assert "No module named 'torch'" in found.stderr


@of(*IMAGES)
def test_an_image_lists_what_it_holds(image):
    """Python's packages and the system's, below the project itself."""
    listed = json.loads(engine("run", "--rm", image, "cat", "/opt/alexnet/sbom.cdx.json"))
    assert listed["bomFormat"] == "CycloneDX"
    root = listed["metadata"]["component"]
    assert (root["type"], root["name"]) == ("application", "alexnet")
    found = {"pypi": set(), "deb": set()}
    for part in [root, *listed["components"]]:
        kind = part.get("purl", "pkg:pypi").removeprefix("pkg:").split("/")[0]
        found[kind].add(f"{part['name'].lower()} {part['version']}")
    program = (
        "from importlib.metadata import distributions\n"
        "for part in distributions(): print(part.name.lower(), part.version)"
    )
    installed = set(engine("run", "--rm", image, "python", "-c", program).splitlines())
    assert found["pypi"] == installed
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n"]
    assert found["deb"] == set(engine("run", "--rm", image, *query).splitlines())


@of(*IMAGES)
def test_no_telemetry_is_sent_from_an_image(image):
    assert "ORT_DISABLE_TELEMETRY=1" in inspect_image(image)["Config"]["Env"]


@of(*IMAGES)
def test_no_program_makes_its_user_another(image):
    find = ["find", "/", "-xdev", "-type", "f", "-perm", "/6000"]
    assert engine("run", "--rm", "--user=0:0", image, *find) == ""
