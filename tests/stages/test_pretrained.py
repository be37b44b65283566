"""The stage pretrained: what it refuses, what it may read, and a file of another revision."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.network import weights
from alexnet.network.weights import build, save_weights
from stages import params
from stages.runtime.dvc_files import md5_of
from stages.runtime.revision import FOLDER, fetched, place_of
from stages.runtime.stage import run_stage
from tests.conftest import METADATA, ROOT, write_params
from tests.runs import flip_a_bit, narrow
from tests.stages.projects import call, commit, copy_code, executed
from tests.stages.test_runner import calls, run_container

OUTPUTS = ("models/pretrained.json", "models/pretrained.safetensors")


def test_without_weights_to_start_from_the_files_say_so(tmp_path, run):
    write_params(tmp_path)
    assert run("pretrained").returncode == 0
    record, values = (tmp_path / name for name in OUTPUTS)
    assert record.read_text() == "null\n"
    assert load_file(values) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"variant": "one-weird-trick"},
            "its variant is one-weird-trick, and this network's cifar; set model.variant to one-we",
        ),
        (
            {"mean": (0.5,), "std": (0.2,)},
            "its number of channels is 1, and this network's 3; set data.channels to 1",
        ),
        (
            {"image_size": 28},
            "its image size is 28, and this network's 32; set train.crop_size (or",
        ),
    ],
)
def test_weights_of_another_network_are_refused_before_any_work(
    tmp_path, run, monkeypatch, change, message
):
    metadata = replace(METADATA, **change)
    monkeypatch.setattr(
        weights, "build", lambda metadata, dropout: narrow(channels=metadata.channels)
    )
    save_weights(tmp_path / "my.safetensors", narrow(channels=metadata.channels), metadata)
    write_params(tmp_path)
    assert run("pretrained").returncode == 0
    write_params(tmp_path, model__start_from="my.safetensors")
    done = run("pretrained")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: model.start_from: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / OUTPUTS[1]).exists(), "no earlier weights pass for these"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"model__start_from": "models/weights.safetensors"}, None),
        ({"model__start_from": "artifacts"}, None),
        ({"model__start_from": "main:models/pretrained.safetensors"}, None),
        ({"model__start_from": "./models/pretrained.safetensors"}, "start_from"),
        ({"model__start_from": "models/../models/pretrained.json"}, "start_from"),
        ({"model__start_from": "{here}/models"}, "start_from"),
    ],
)
def test_the_weights_may_be_another_stages_and_not_its_own(tmp_path, monkeypatch, changes, refused):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, **{key: value.format(here=tmp_path) for key, value in changes.items()})
    if refused is None:
        params.load(Path("params.yaml"))
        return
    with pytest.raises(UserError, match=rf"model\.{refused}: .* is not apart from models/pretra"):
        params.load(Path("params.yaml"))


def test_a_revision_that_the_runner_did_not_fetch_says_what_does(tmp_path, run):
    write_params(tmp_path, model__start_from="main:models/w.safetensors")
    done = run("pretrained")
    assert done.returncode == 1
    assert done.stderr.endswith("run `dvc repro pretrained`, which fetches it before this stage\n")
    write_params(tmp_path, model__start_from="C:\\models\\w.safetensors")
    assert "it is a path of Windows, which WSL has as /mnt/c/" in run("pretrained").stderr


# In a container


def started(install, tmp_path, monkeypatch, **changes) -> list[str]:
    """The engine's command line."""
    log = install("podman")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGE_RUNTIME", "podman")
    write_params(tmp_path, **changes)
    assert run_stage("pretrained", None) == 0
    return calls(log)[-1]


IMAGENET = {"model__variant": "one-weird-trick", "data__image_size": 256, "train__crop_size": 224}
IMAGENET |= {"data__resize": "torchvision", "model__start_from": "imagenet"}


@pytest.mark.parametrize("has_file", [False, True])
def test_imagenet_has_the_network_and_a_local_file(install, tmp_path, monkeypatch, has_file):
    file = tmp_path.parent / "alexnet.pth"
    file.touch()
    source = {"model__start_source": str(file)} if has_file else {}
    line = started(install, tmp_path, monkeypatch, **IMAGENET, **source)
    assert "--network=none" not in line
    assert (f"--mount=type=bind,source={file},target={file},readonly" in line) == has_file


def test_another_model_has_its_folder_and_no_network(install, tmp_path, monkeypatch):
    folder = tmp_path.parent / "theirs"
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").touch()
    line = started(install, tmp_path, monkeypatch, model__start_from="../theirs/model.onnx")
    assert "--network=none" in line
    assert f"--mount=type=bind,source={folder},target=/theirs,readonly" in line


def test_what_is_in_the_project_is_not_mounted_again(install, tmp_path, monkeypatch):
    """As a mount it could not be replaced."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/weights.safetensors").touch()
    name = "models/weights.safetensors"
    line = started(install, tmp_path, monkeypatch, model__start_from=name)
    assert not [option for option in line if name in option]


def test_the_one_container_of_all_stages_has_it_as_well(install, tmp_path):
    log, folder = install("podman"), tmp_path.parent / "theirs"
    folder.mkdir(exist_ok=True)
    text = (ROOT / "params.yaml").read_text()
    assert text.count("start_from:\n") == 1
    (tmp_path / "params.yaml").write_text(text.replace("from:\n", "from: ../theirs\n"))
    assert run_container(tmp_path).returncode == 0
    assert f"--mount=type=bind,source={folder},target=/theirs,readonly" in calls(log)[-1]


# REVISION:FILE


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A repository in which the tag v1 has other files than the branch's tip."""
    monkeypatch.chdir(tmp_path)
    call(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    call(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / ".gitignore").write_text("/models\n/artifacts\n/.pretrained\n")
    for number in (1, 2):
        script = (
            f"mkdir -p models artifacts; echo {number} > models/w; "
            f"echo {number} > artifacts/model.onnx; echo {number} > artifacts/manifest.json"
        )
        stage = {"cmd": script, "outs": ["models/w", "artifacts"]}
        (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": {"make": stage}}))
        call(tmp_path, "dvc", "repro", "--quiet")
        commit(tmp_path)
        call(tmp_path, "git", "tag", f"v{number}")
    return tmp_path


@pytest.mark.slow
def test_a_file_of_another_revision_is_there_while_the_stage_runs(project):
    for name, text in (
        ("v1:models/w", "1\n"),
        ("main~1:./models/w", "1\n"),
        ("main:models/w", "2\n"),
    ):
        with fetched(name):
            assert place_of(name).read_text() == text
        assert not FOLDER.exists()
    with fetched("v1:artifacts/model.onnx"):
        place = place_of("v1:artifacts/model.onnx")
        assert place.read_text() == "1\n"
        assert place.with_name("manifest.json").exists(), "what verifies it"
    with fetched("v1:artifacts"):
        assert (place_of("v1:artifacts") / "model.onnx").read_text() == "1\n"


@pytest.mark.slow
def test_an_experiment_in_a_folder_of_its_own_asks_the_project(
    project, tmp_path_factory, monkeypatch
):
    monkeypatch.chdir(tmp_path_factory.mktemp("experiment"))
    monkeypatch.setenv("DVC_ROOT", str(project))
    with fetched("v1:models/w"):
        assert place_of("v1:models/w").read_text() == "1\n"


@pytest.mark.slow
def test_what_git_or_dvc_lacks_is_one_message(project):
    for name, message in (
        (
            "v3:models/w",
            "v3:models/w: git has no revision v3 here; `git fetch` it, or name another",
        ),
        ("-x:models/w", "-x:models/w: git has no revision -x here"),
        (
            "v1:models/x",
            r"v1:models/x: DVC has no models/x of the commit \w{12} in its cache or its",
        ),
        ("v1:/etc/passwd", "v1:/etc/passwd: is no path that exists, and no REVISION:FILE of the"),
        ("v1:../x", "v1:../x: is no path that exists"),
        (":x", ":x: is no path that exists"),
    ):
        pattern = rf"^model\.start_from: {message}"
        with pytest.raises(UserError, match=pattern) as caught, fetched(name):
            raise AssertionError("the stage would run")
        assert "\n" not in str(caught.value)
        assert not FOLDER.exists()
    copy = project / ".dvc/cache/files/md5" / md5_of(Path("models/w"))[:2]
    (copy,) = copy.iterdir()
    copy.chmod(0o644)
    flip_a_bit(copy)
    copy.chmod(0o444)
    with (
        pytest.raises(UserError, match="main:models/w: DVC's copy is damaged"),
        fetched("main:models/w"),
    ):
        raise AssertionError("the stage would run")
    copy.unlink()
    with pytest.raises(UserError, match="in its cache or its remote"), fetched("main:models/w"):
        raise AssertionError("the stage would run")


@pytest.mark.slow
def test_a_damaged_copy_of_an_added_file_is_refused(project):
    (project / "own").mkdir()
    (project / "own/w").write_text("own\n")
    call(project, "dvc", "add", "--quiet", "own/w")
    commit(project)
    with fetched("main:own/w"):
        assert place_of("main:own/w").read_text() == "own\n"
    md5 = md5_of(project / "own/w")
    copy = project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    copy.chmod(0o644)
    flip_a_bit(copy)
    copy.chmod(0o444)
    with (
        pytest.raises(UserError, match=f"main:own/w: DVC's copy is damaged: .* MD5 {md5}"),
        fetched("main:own/w"),
    ):
        raise AssertionError("the stage would run")


@pytest.mark.slow
def test_a_repro_starts_from_the_weights_of_another_revision(tmp_path):
    project, own = tmp_path / "project", "own/weights.safetensors"
    copy_code(project)
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n")
    call(project, "git", "init", "--quiet")
    save_weights(project / own, build(METADATA, 0.0), METADATA)
    digest = sha256(project / own)
    write_params(project, model__start_from=f"v1:{own}")
    call(project, "dvc", "add", "--quiet", own)
    commit(project)
    call(project, "git", "tag", "v1")
    (project / own).unlink()
    (project / own).write_text("another")
    call(project, "dvc", "add", "--quiet", own)
    commit(project)
    done = call(project, "dvc", "repro", "pretrained")
    assert executed(done.stdout) == ["pretrained"]
    record = json.loads((project / OUTPUTS[0]).read_text())
    assert record == {
        "parent": {"kind": "weights", "sha256": digest},
        "values_sha256": digest,
    }
    assert sha256(project / OUTPUTS[1]) == digest
    assert not (project / FOLDER).exists()
    assert call(project, "git", "status", "--porcelain").stdout == "?? dvc.lock\n"
    changed = ("-S", "train.crop_size=32")  # the same in other words
    temp = call(project, "dvc", "exp", "run", "--temp", *changed, "pretrained")
    assert executed(temp.stdout) == ["pretrained"]
    assert "Ran experiment" in temp.stdout
    write_params(project, model__start_from=f"v2:{own}")
    failed = call(project, "dvc", "repro", "pretrained", check=False)
    assert failed.returncode != 0
    assert f"error: model.start_from: v2:{own}: git has no revision v2 here" in failed.stderr
