"""The files for on-demand runners, as the tools that read them see them."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from string import Template

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

EC2 = ROOT / "deploy/ec2"
VALUES = {"URL": "https://example.org/runner.tar.gz", "SHA256": "0" * 64, "JIT_CONFIG": "abc="}
# Each says how it was called, and answers as the tool would.
GH = f"""#!/bin/sh
echo "$@" >>gh.log
case "$*" in
*downloads*) echo "{VALUES["URL"]} {VALUES["SHA256"]}" ;;
*) echo "{VALUES["JIT_CONFIG"]}" ;;
esac
"""
AWS = """#!/bin/sh
echo "$@" >aws.log
cat "${*##*--user-data file://}" >user-data
"""
SKYPILOT = "0.14.1"
KUBEFLOW = "2.3.0"
# A field that the schema does not have is lost on the way.
TRAINJOB = """
import sys, yaml
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob
job = yaml.safe_load(open(sys.argv[1]))
assert TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job
"""
SKY = """
import sys, yaml, sky
config = yaml.safe_load(open(sys.argv[1]))
task = sky.Task.from_yaml_config(config, env_overrides=[("DVC_REMOTE_URL", "s3://bucket/store")])
print(sorted(name for each in task.resources for name in each.accelerators))
"""


def test_the_machine_on_ec2_is_a_valid_request():
    """By AWS's own description of the call, which botocore carries."""
    session = pytest.importorskip("botocore.session").get_session()
    from botocore.validate import ParamValidator

    shape = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    request = json.loads((EC2 / "instance.json").read_text())
    assert ParamValidator().validate(request, shape).generate_report() == ""
    # A machine that is left running costs money; the metadata of one has its credentials.
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert request["MetadataOptions"]["HttpTokens"] == "required"


@pytest.fixture
def user_data(tmp_path) -> Path:
    """What start.sh gives to the machine, with fakes of gh and aws."""
    shutil.copytree(EC2, tmp_path / "ec2")
    for name, script in {"gh": GH, "aws": AWS}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    if shutil.which("envsubst") is None:
        pytest.skip("needs envsubst (apt-get install gettext-base)")
    subprocess.run(
        [tmp_path / "ec2/start.sh", "owner/name"],
        check=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    call = (tmp_path / "ec2/aws.log").read_text()
    assert "file://instance.json" in call
    assert VALUES["JIT_CONFIG"] not in call, "each process of the machine may read it there"
    asked = (tmp_path / "ec2/gh.log").read_text()
    assert "POST repos/owner/name/actions/runners/generate-jitconfig" in asked
    return tmp_path / "ec2/user-data"


def test_the_machine_registers_for_one_job_and_ends_itself(user_data):
    template = Template((EC2 / "user-data.yaml").read_text())
    assert user_data.read_text() == template.safe_substitute(VALUES)
    values = YAML(typ="safe").load(user_data)
    config, script = values["write_files"]
    assert config["content"] == VALUES["JIT_CONFIG"]
    assert values["runcmd"] == [[script["path"]]]
    assert values["power_state"]["mode"] == "poweroff"
    subprocess.run(["bash", "-n"], input=script["content"], text=True, check=True)
    assert f'echo "{VALUES["SHA256"]}  runner.tar.gz" | sha256sum' in script["content"]


def test_the_runner_gets_its_configuration_by_its_environment(user_data, tmp_path):
    config, script = YAML(typ="safe").load(user_data)["write_files"]
    (tmp_path / "jit-config").write_text(config["content"])
    (tmp_path / "run.sh").write_text('#!/bin/sh\necho "$ACTIONS_RUNNER_INPUT_JITCONFIG" $#\n')
    (tmp_path / "run.sh").chmod(0o755)
    command = script["content"].split("'")[-2].replace("/opt/runner", str(tmp_path))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == f"{VALUES['JIT_CONFIG']} 0\n", done.stderr


def test_cloud_init_takes_what_the_machine_is_given(user_data):
    if shutil.which("cloud-init") is None:
        pytest.skip("needs cloud-init (apt-get install cloud-init)")
    command = ["cloud-init", "schema", "--config-file", str(user_data)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gitlabs_runners_have_the_tags_and_the_volume_of_its_jobs():
    jobs = YAML(typ="safe").load(ROOT / ".gitlab-ci.yml")
    runners = tomllib.loads((ROOT / "deploy/gitlab-runner.toml").read_text())["runners"]
    volumes = {runner["name"]: " ".join(runner["docker"]["volumes"]) for runner in runners}
    assert volumes.keys() == {*jobs["retrain"]["tags"], *jobs["try"]["tags"]}
    for name in "retrain", "try":
        kept = jobs[name].get("variables", {}).get("KEPT", "")
        assert (f":{kept}" in volumes[jobs[name]["tags"][0]]) is bool(kept)
    merge_requests = next(each for each in runners if each["name"] == jobs["try"]["tags"][0])
    assert merge_requests["docker"]["disable_cache"]
    assert merge_requests["docker"]["volumes"] == []


@pytest.mark.slow
def test_skypilot_takes_its_task(tmp_path):
    """In an environment of its own: SkyPilot's packages are not this project's."""
    python = tmp_path / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    install = [python, "-m", "pip", "install", "--quiet", f"skypilot=={SKYPILOT}"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the package index does not give SkyPilot: {done.stderr[-300:]}")
    done = subprocess.run(
        [python, "-c", SKY, ROOT / "deploy/skypilot.yaml"],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert done.stdout.strip() == "['A100', 'A10G', 'H100', 'L4']", done.stderr


def test_the_pods_have_the_images_user_and_shared_memory():
    job = YAML(typ="safe").load(ROOT / "deploy/trainjob.yaml")
    (node,) = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"][
        "replicatedJobs"
    ]
    pod = node["template"]["spec"]["template"]["spec"]
    context = pod["securityContext"]
    user = "{runAsUser}:{runAsGroup}".format(**context)
    assert f"USER {user}\n" in (ROOT / "Dockerfile").read_text()
    assert context["fsGroup"] == context["runAsGroup"]
    mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in pod["volumes"]}
    assert volumes[mounted["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert {*mounted.values()} == volumes.keys()


@pytest.mark.slow
def test_kubeflow_takes_its_job(tmp_path):
    """By the models that Kubeflow Trainer generates from its own description of a TrainJob."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path]
    done = subprocess.run(
        [*command, f"kubeflow-trainer-api=={KUBEFLOW}"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the package index does not give its models: {done.stderr[-300:]}")
    done = subprocess.run(
        [sys.executable, "-c", TRAINJOB, ROOT / "deploy/trainjob.yaml"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
