"""The shell scripts, with a real git and fake commands that log their calls."""

import hashlib
import json
import os
import shutil
import sys
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from alexnet.inference.signature import by_key
from tests.ci.conftest import call, calls, git
from tests.conftest import ROOT
from tests.inference.keys import write_keys


def propose(job: Path):
    return call(job, "propose.sh", "results")


def release(job: Path):
    return call(job, "release.sh", "v1", "results")


def test_new_results_are_proposed_on_a_branch(job):
    done = propose(job)
    assert done.returncode == 0, done.stderr
    changed = git(job / "origin", "diff", "--stat", "--name-only", "main", "retrain")
    assert changed == "dvc.lock"
    assert git(job / "origin", "show", "retrain:dvc.lock") == "the new one"
    assert calls(job)[-1][:2] == ["pr", "create"]
    commit = git(job / "origin", "rev-parse", "retrain-pictures")
    assert (job / "bin/body").read_text().splitlines() == [
        "# Retraining",
        f"![loss](https://github.com/someone/alexnet/raw/{commit}/loss.png)",
        f"![mistakes](https://github.com/someone/alexnet/raw/{commit}/mistakes.png)",
    ]
    assert git(job / "origin", "show", f"{commit}:loss.png") == "loss"


def test_an_open_proposal_is_updated(job):
    propose(job)
    git(job / "checkout", "reset", "--quiet", "--hard", "origin/main")
    (job / "bin/open").touch()
    (job / "results/dvc.lock").write_text("a newer one\n")
    assert propose(job).returncode == 0
    assert git(job / "origin", "show", "retrain:dvc.lock") == "a newer one"
    assert git(job / "origin", "rev-list", "--count", "main..retrain") == "1"
    assert "repos/someone/alexnet/pulls/7" in calls(job)[-1], "forks have that branch too"
    assert calls(job)[-1][3] == "PATCH"
    assert (job / "bin/body").read_text().startswith("# Retraining\n![loss](")
    number = git(job / "origin", "rev-list", "--count", "retrain-pictures")
    assert number == "2", "the pictures of the first one stay"


@pytest.mark.parametrize("by", ["GitHub <noreply@github.com>", "a <a@example.org>"])
def test_the_button_may_merge_main_into_the_proposal(by, job):
    """A merge by a person may have changes of theirs."""
    propose(job)
    git(job / "checkout", "checkout", "--quiet", "-b", "newer", "origin/main")
    git(job / "checkout", "commit", "--quiet", "--allow-empty", "--message=newer")
    git(job / "checkout", "push", "--quiet", "origin", "HEAD:main")
    git(job / "checkout", "checkout", "--quiet", "-b", "updated", "origin/retrain")
    name, _, address = by.rstrip(">").partition(" <")
    committer = ("-c", f"user.name={name}", "-c", f"user.email={address}")
    git(job / "checkout", *committer, "merge", "--quiet", "--no-ff", "newer")
    git(job / "checkout", "push", "--quiet", "origin", "HEAD:retrain")
    git(job / "checkout", "checkout", "--quiet", "newer")
    (job / "results/dvc.lock").write_text("a newer one\n")
    done = propose(job)
    if address == "noreply@github.com":
        assert done.returncode == 0, done.stderr
        assert git(job / "origin", "rev-list", "--count", "main..retrain") == "1"
    else:
        assert done.returncode == 1
        assert f"({by})" in done.stderr


@pytest.mark.parametrize("how", ["added", "amended"])
def test_commits_of_a_person_on_the_proposal_are_kept(how, job):
    propose(job)
    amend = ["--amend"] if how == "amended" else []
    git(job / "checkout", "commit", "--quiet", "--allow-empty", "--message=by hand", *amend)
    git(job / "checkout", "push", "--quiet", "--force", "origin", "HEAD:retrain")
    theirs = git(job / "origin", "rev-parse", "retrain")
    git(job / "checkout", "reset", "--quiet", "--hard", "origin/main")
    (job / "results/dvc.lock").write_text("a newer one\n")
    before = git(job / "origin", "branch", "--verbose")
    number = len(calls(job))
    for arguments in (["results"], []):  # afterwards, and before the GPU works
        done = call(job, "propose.sh", *arguments)
        assert done.returncode == 1
        assert "error: propose: the branch retrain has commits that are not this" in done.stderr
        assert f"{theirs[:7]} by hand (a <a@example.org>)" in done.stderr
    assert (git(job / "origin", "branch", "--verbose"), len(calls(job))) == (before, number)
    git(job / "origin", "branch", "--move", "retrain", "theirs")
    assert call(job, "propose.sh").returncode == 0
    assert len(calls(job)) == number, "a check proposes nothing"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("gh: Validation Failed (HTTP 422)\nNo commits between main and main\n", 0, "are allowed"),
        (
            "gh: GitHub Actions is not permitted to create or approve pull requests. (HTTP 403)\n",
            1,
            'Turn on "Allow GitHub Actions to create and approve pull requests" (Settings, ',
        ),
        ("gh: Server Error (HTTP 502)\n", 0, "warning: may_propose: whether pull requests are"),
    ],
)
def test_that_a_pull_request_is_forbidden_is_found_before_the_training(error, code, said, job):
    (job / "bin/answer").write_text(json.dumps({"error": error, "code": 1}))
    done = call(job, "may_propose.sh")
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert calls(job)[0][-4:] == ["-f", "head=main", "-f", "base=main"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
@pytest.mark.parametrize(
    "files",
    [
        [],
        [{"filename": "ci/image/os-packages"}],
        [{"filename": "old", "previous_filename": "Dockerfile"}],  # renamed away
    ],
)
def test_a_pull_request_is_tried_in_main_s_image_or_not_at_all(files, job):
    answer = {"output": json.dumps([{"filename": "params.yaml"}, *files]), "code": 0}
    (job / "bin/answer").write_text(json.dumps(answer))
    done = call(job, "trial_image.sh", IMAGE="ghcr.io/Someone/AlexNet", PULL_REQUEST="7")
    if files:
        assert (done.returncode, done.stdout) == (1, "")
        name = files[0].get("previous_filename") or files[0]["filename"]
        assert f"the pull request changes {name}, and with it the image" in done.stderr
    else:
        assert done.stdout == "image=ghcr.io/someone/alexnet@sha256:def\n", done.stderr


def test_without_new_results_nothing_is_proposed(job):
    (job / "checkout/dvc.lock").write_text("the new one\n")
    done = propose(job)
    assert (done.returncode, calls(job)) == (0, [])
    assert "there is nothing to propose" in done.stdout
    assert git(job / "origin", "branch", "--format=%(refname:short)") == "main"


def tag(job: Path, lock: str) -> None:
    (job / "checkout/dvc.lock").write_text(lock)
    git(job / "checkout", "add", ".")
    git(job / "checkout", "commit", "--quiet", "--message=results")
    git(job / "checkout", "tag", "v1")


def test_a_release_gets_the_artifact_as_one_archive(job):
    tag(job, "the new one\n")
    done = release(job)
    assert done.returncode == 0, done.stderr
    assert [call[:2] for call in calls(job)] == [["release", "view"], ["release", "create"]]
    archive = job / "bin/alexnet-v1.tar.gz"
    first = hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as files:
        assert set(files.getnames()) == {
            "alexnet-v1",
            *(f"alexnet-v1/{name}" for name in ("MODEL_CARD.md", "model.onnx", "samples")),
            "alexnet-v1/samples/00.png",
        }
        assert files.extractfile("alexnet-v1/model.onnx").read() == b"model"
    assert (job / "bin/alexnet-v1.sig").read_text() == "by key"
    assert (job / "bin/alexnet-v1.sigstore.json").read_text() == "by the job"
    assert (job / "bin/alexnet-v1.tar.gz.sha256").read_text() == f"{first}  alexnet-v1.tar.gz\n"

    (job / "bin/released").touch()
    (job / "results/artifacts/model.onnx").touch()
    release(job)
    assert [call[:2] for call in calls(job)[2:]] == [["release", "view"], ["release", "upload"]]
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == first, "the same bytes"


@pytest.mark.parametrize("name", ["v1,2", "v1&2", "v2/1"])
def test_a_tag_that_would_be_no_file_s_name_is_refused(name, job):
    tag(job, "the new one\n")
    git(job / "checkout", "tag", name)
    done = call(job, "release.sh", name, "results")
    assert (done.returncode, calls(job)) == (1, [])
    assert f"error: release: the tag {name} has other characters" in done.stderr


def test_a_model_that_the_tag_does_not_name_is_not_released(job):
    tag(job, "another one\n")
    done = release(job)
    assert (done.returncode, calls(job)) == (1, [])
    assert done.stderr == (
        "error: release: dvc.lock at v1 is not that of this run; merge the results that "
        "retraining on main proposes, and tag that\n"
    )


def test_a_model_without_a_signature_is_not_released(job):
    tag(job, "the new one\n")
    for signature in (job / "results").glob("artifacts.sig*"):
        signature.unlink()
    done = release(job)
    assert (done.returncode, calls(job)) == (1, [])
    assert "is its signature; run ci/sign.sh" in done.stderr


@pytest.mark.slow
def test_a_model_is_signed_with_a_key_and_verified(job, artifact):
    """By the command that its receiver will use."""
    (job / "results/artifacts.sigstore.json").touch()  # of an earlier run
    shutil.rmtree(job / "results/artifacts")
    shutil.copytree(artifact, job / "results/artifacts")
    write_keys(job, "sender", ec.generate_private_key(ec.SECP256R1()))
    environment = {"PYTHONPATH": str(ROOT), "SIGNING_KEY": (job / "sender.pem").read_text()}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = call(job, "sign.sh", "results", **environment)
    assert done.returncode == 0, done.stderr
    assert "artifacts is verified: it is signed by the private key of" in done.stdout
    by_key(job / "sender.pub", job / "results/artifacts.sig")(job / "results/artifacts")
    assert not (job / "results/artifacts.sigstore.json").exists()
    (job / "results/artifacts/labels.json").write_text("[]")
    assert call(job, "sign.sh", "results", **environment).returncode == 1


def test_a_model_is_signed_by_the_identity_of_the_job(job):
    shutil.copy(job / "bin/gh", job / "bin/python3")
    workflow = "owner/name/.github/workflows/retrain.yml@refs/tags/v1"
    environment = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_WORKFLOW_REF": workflow}
    environment |= {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example"}
    done = call(job, "sign.sh", "results", **environment)
    assert done.returncode == 0, done.stderr
    sign, verify = calls(job)
    assert sign[:5] == ["-m", "model_signing", "sign", "sigstore", "--use_ambient_credentials"]
    assert f"https://github.com/{workflow}" == verify[verify.index("--identity") + 1]
    assert (job / "results/artifacts.sigstore.json").exists()
    assert not (job / "results/artifacts.sig").exists()


def test_without_a_key_or_an_identity_nothing_is_signed(job):
    done = call(job, "sign.sh", "results")
    assert done.returncode == 1
    assert done.stderr.startswith("error: sign: the job has no identity")


def test_the_image_is_called_by_its_digest(job):
    output = job / "output"
    done = call(
        job,
        "image.sh",
        IMAGE="ghcr.io/Someone/AlexNet",
        GITHUB_OUTPUT=str(output),
        TAG="main",
        REFRESH="1",
    )
    assert done.returncode == 0, done.stderr
    assert output.read_text() == ("image=ghcr.io/someone/alexnet@sha256:abc\ndigest=sha256:abc\n")
    create, build, remove = calls(job)
    assert "--use" not in create, "the user's own builder stays the default"
    assert (build[2:4], remove) == (["--builder", "mine"], ["buildx", "rm", "mine"])
    revision = git(job / "checkout", "rev-parse", "HEAD")
    lock = hashlib.sha256(b"torch\n").hexdigest()
    for argument in ("type=registry,rewrite-timestamp=true", f"REVISION={revision}"):
        assert argument in build
    assert f"LOCK_DIGEST={lock}" in build
    tags = [tag for option, tag in pairwise(build) if option == "--tag"]
    assert tags == [f"ghcr.io/someone/alexnet:{revision}", "ghcr.io/someone/alexnet:main"]
    assert {"--no-cache", "--provenance=false"} <= {*build}
    assert not any(argument.startswith("BASE_IMAGE") for argument in build)
