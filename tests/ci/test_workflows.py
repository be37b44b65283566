"""The permissions of the workflows, and the scripts that they call."""

import re

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
RETRAIN = YAML(typ="safe").load(ROOT / ".github/workflows/retrain.yml")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_commit_with_its_version(file):
    lines = file.read_text().splitlines()
    uses = [index for index, line in enumerate(lines) if "uses:" in line]
    assert uses
    for index in uses:
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40}$", lines[index])
        assert re.fullmatch(r" +# v\d+\.\d+\.\d+", lines[index - 1])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_scripts_and_modules_exist(file):
    jobs = YAML(typ="safe").load(file)["jobs"].values()
    script_text = "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)
    assert "${{" not in script_text, "an expression in a command is an injection"
    for script in re.findall(r"\S+\.sh\b|\.ci/run", script_text):
        assert (ROOT / script).stat().st_mode & 0o111
    for module in re.findall(r"python -m (ci\.\w+)", script_text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_jobs_have_few_permissions_and_a_timeout(file):
    workflow = YAML(typ="safe").load(file)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 720


def test_jobs_that_may_write_do_not_run_on_the_training_machine():
    may_write = {
        name for name, job in RETRAIN["jobs"].items() if "write" in job["permissions"].values()
    }
    assert may_write == {"image", "propose", "release"}
    signing = {name for name, job in RETRAIN["jobs"].items() if "id-token" in job["permissions"]}
    assert signing == {"release"}
    assert all(RETRAIN["jobs"][name]["runs-on"] == "ubuntu-24.04" for name in may_write)
    assert "--gpus all" in RETRAIN["jobs"]["retrain"]["container"]["options"]
    assert {RETRAIN["jobs"][name]["needs"] for name in ("propose", "release")} == {"retrain"}


def test_a_release_is_signed_before_it_is_published():
    """With the locked packages; the private key is given to that step alone."""
    steps = RETRAIN["jobs"]["release"]["steps"]
    commands = [step["run"].split()[0] for step in steps if "run" in step]
    assert commands == ["pip", "ci/sign.sh", "ci/release.sh"]
    with_key = [step["run"] for step in steps if "SIGNING_KEY" in step.get("env", {})]
    assert with_key == ["ci/sign.sh results"]


def test_results_are_uploaded_only_after_every_step_passed():
    """A model that failed is neither proposed nor released."""
    (upload,) = [
        step
        for step in RETRAIN["jobs"]["retrain"]["steps"]
        if step.get("with", {}).get("name") == "results"
    ]
    assert "if" not in upload
    for name in ("propose", "release"):
        assert RETRAIN["jobs"][name]["if"].startswith(("github.ref == ", "startsWith(github.ref"))
