"""The permissions of the workflows, and the scripts that they call."""

import os
import re
import subprocess

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
CI, RETRAIN, TRAIN, TRIAL = (
    YAML(typ="safe").load(ROOT / f".github/workflows/{name}.yml")
    for name in ("ci", "retrain", "train", "trial")
)
STEPS = TRAIN["jobs"]["train"]["steps"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_action_is_pinned_by_its_commit_with_its_version(file):
    """Where Renovate and Dependabot look for the version and write the next one."""
    uses = [line for line in file.read_text().splitlines() if re.search(r"\buses:(?! \./)", line)]
    for line in uses:
        assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_scripts_and_modules_exist(file):
    jobs = YAML(typ="safe").load(file)["jobs"].values()
    steps = [step for job in jobs for step in job.get("steps", [])]
    script_text = "\n".join(step["run"] for step in steps if "run" in step)
    assert "${{" not in script_text, "an expression in a command is an injection"
    for script in re.findall(r"\S+\.sh\b|\.ci/run", script_text):
        assert (ROOT / script).stat().st_mode & 0o111
    for module in re.findall(r"python -m (ci\.\w+)", script_text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_jobs_have_few_permissions_and_a_timeout(file):
    workflow = YAML(typ="safe").load(file)
    is_called = list(workflow.get("on", workflow.get(True))) == ["workflow_call"]
    if not is_called:  # it has its caller's
        assert workflow["permissions"] in ({}, {"contents": "read"})
        assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 720


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("refs/heads/main", 0),
        ("refs/tags/v1.0", 0),
        ("refs/heads/master", 1),
        ("refs/heads/main-2", 1),
        ("refs/heads/x/refs/tags/v1", 1),
        ("refs/tags/latest", 1),
    ],
)
def test_only_main_and_releases_are_trained(ref, code):
    """Said by the job that all others wait for."""
    (step,) = RETRAIN["jobs"]["ref"]["steps"]
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        env=os.environ | {"GITHUB_REF": ref},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert (f"::error::{ref} is neither the branch main nor a tag v*" in done.stdout) == bool(code)
    needs = {name: job.get("needs") for name, job in RETRAIN["jobs"].items()}
    assert needs == {
        "ref": None,
        "may-propose": "ref",
        "image": ["ref", "may-propose"],
        "retrain": "image",
        "propose": "retrain",
        "release": "retrain",
    }


def test_jobs_that_may_write_do_not_run_on_the_training_machine():
    jobs = RETRAIN["jobs"]
    may_write = {
        name
        for name, job in jobs.items()
        if any(job["permissions"].get(what) == "write" for what in ("contents", "packages"))
    }
    assert may_write == {"image", "propose", "release"}
    assert all(jobs[name]["runs-on"] == "ubuntu-24.04" for name in may_write)
    assert "--gpus all" in TRAIN["jobs"]["train"]["container"]["options"]
    assert {jobs[name]["needs"] for name in ("propose", "release")} == {"retrain"}


def test_no_run_of_main_is_dropped_for_a_newer_one():
    assert RETRAIN["concurrency"]["queue"] == "max"
    assert CI["concurrency"]["group"] == "ci-${{ github.event.number || github.run_id }}"


def test_only_the_release_has_the_identity_that_receivers_ask_for():
    """Sigstore's is the file of the job's workflow: a called one signs in its own name."""
    with_identity = {
        name for name, job in RETRAIN["jobs"].items() if "id-token" in job["permissions"]
    }
    assert with_identity == {"retrain", "release"}
    assert RETRAIN["jobs"]["retrain"]["uses"].endswith("/train.yml")
    assert "uses" not in RETRAIN["jobs"]["release"]


def test_a_pull_request_gets_no_secret_and_nothing_of_the_machine():
    job = TRIAL["jobs"]["train"]
    assert list(TRIAL.get("on", TRIAL.get(True))) == ["pull_request"]
    assert "secrets" not in job
    assert "trusted" not in job["with"]
    assert all(
        value == "read" for each in TRIAL["jobs"].values() for value in each["permissions"].values()
    )
    assert job["with"]["environment"] != RETRAIN["jobs"]["retrain"]["with"]["environment"]
    runner = TRAIN["jobs"]["train"]["runs-on"]
    assert runner == "${{ inputs.trusted && (vars.GPU_RUNNER || 'gpu') || 'gpu-trial' }}"
    for option in TRAIN["jobs"]["train"]["container"]["options"].split("${{")[1:]:
        assert "--volume" not in option or option.startswith(" inputs.trusted && ")
    for step in STEPS:
        if "role-to-assume" in step.get("with", {}) or "ci.pu" in step.get("run", ""):
            assert step["if"].startswith("inputs.trusted")


def test_a_job_that_is_cancelled_or_times_out_has_time_to_stop_training():
    """GitHub gives 5 minutes; the steps before it have less time than the job."""
    job = TRAIN["jobs"]["train"]
    names = [step.get("run") for step in STEPS]
    stop = STEPS[names.index("python -m ci.stop")]
    assert (stop["if"], stop["timeout-minutes"] < 5) == ("always()", True)
    training = [
        step
        for step in STEPS
        if step.get("run", "").split()[-1:] in (["ci.environment"], ["--keep-going"])
    ]
    assert len(training) == 2
    assert all(step["timeout-minutes"] + 5 < job["timeout-minutes"] for step in training)
    assert all(STEPS.index(step) < STEPS.index(stop) for step in training)


def test_a_release_is_signed_before_it_is_published():
    """With the locked packages; the private key is given to that step alone."""
    steps = RETRAIN["jobs"]["release"]["steps"]
    commands = [step["run"].split()[0] for step in steps if "run" in step]
    assert commands == ["pip", "ci/sign.sh", "ci/release.sh"]
    with_key = [step["run"] for step in steps if "SIGNING_KEY" in step.get("env", {})]
    assert with_key == ["ci/sign.sh results"]


def test_results_are_uploaded_only_after_every_step_passed():
    """A model that failed is neither proposed nor released."""
    (upload,) = [step for step in STEPS if step.get("with", {}).get("name") == "results"]
    assert "if" not in upload
    for name in ("propose", "release"):
        assert RETRAIN["jobs"][name]["if"].startswith(
            "!cancelled() && needs.retrain.result == 'success' && "
        )
