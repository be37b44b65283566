"""What a person hands in is never among the outputs, and DVC removes no folder that holds it."""

import sys
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML

from alexnet.errors import UserError
from alexnet.inference.manifest import WRITTEN
from alexnet.inference.predictor import MODEL_FILENAMES
from stages import inputs, params
from stages.runtime.stage import local_sources
from tests.conftest import ROOT, write_params
from tests.data.making import make_files, read_files, write_folder
from tests.stages.projects import call, copy_code, dvc

PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "project"
    for name in ("data/raw/images", "data/images", "artifacts"):
        (folder / name).mkdir(parents=True)
    (folder / "link").symlink_to(folder / "data/raw")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("data/raw/images", "data/raw"),
        ("data/raw", "data/raw"),
        ("data", "data/raw"),
        (".", "data/raw"),
        ("{project}/data/raw/images", "data/raw"),
        ("../project/data/../data/raw/images", "data/raw"),
        ("link/images", "data/raw"),
        ("file://{project}/data/r%61w", "data/raw"),
        (["https://example.org/x.tar", "data/images", "data/processed/x"], "data/processed"),
        ("models/images.tar", "models"),
        ("reports/figures/mine", "reports"),
        ("artifacts/not/yet", "artifacts"),
    ],
)
def test_a_source_among_the_outputs_is_refused(project, source, output):
    if isinstance(source, str):
        source = source.format(project=project)
    write_params(project, data__name="folder", data__source=source)
    # As each stage reads them; and on the host, where paths mean what they say, before a container.
    for read in (lambda: params.load(Path("params.yaml")), local_sources):
        with pytest.raises(
            UserError, match=rf"params\.yaml: data\.source: .* apart from {output},"
        ):
            read()


@pytest.mark.parametrize(
    "source", ["data/images", "data/raw.tar", "../x", "https://a.org/data/raw"]
)
def test_a_source_apart_from_them_is_not(project, source):
    write_params(project, data__name="folder", data__source=source)
    params.load(Path("params.yaml"))


def test_an_output_behind_a_link_and_parameters_among_the_outputs(project, tmp_path):
    (tmp_path / "disk").mkdir()
    (project / "reports").symlink_to(tmp_path / "disk")
    write_params(project, data__name="folder", data__source=str(tmp_path / "disk/images"))
    with pytest.raises(UserError, match="apart from reports"):
        params.load(Path("params.yaml"))
    write_params(project / "artifacts")
    with pytest.raises(UserError, match=r"--params: artifacts/params\.yaml is not apart from art"):
        params.load(Path("artifacts/params.yaml"))


def test_all_outputs_are_in_the_places_that_are_checked_and_their_folders_persist():
    """DVC removes an out before the command: a single file, or the out persists."""
    files = (".json", ".csv", ".html", ".safetensors", ".yaml")
    for stage in PIPELINE.values():
        for out in stage.get("outs", []) + stage.get("metrics", []):
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            assert any(Path(path).is_relative_to(place) for place in inputs.OUTPUTS), path
            assert path.endswith(files) or options.get("persist"), path
    assert not any("data/raw" in stage.get("outs", []) for stage in PIPELINE.values())


def test_the_files_of_an_artifact_are_known_and_dvc_sees_them_alone(artifact):
    ignored = GitIgnoreSpec.from_lines((ROOT / ".dvcignore").read_text().splitlines()).match_file
    names = {str(path.relative_to(artifact)) for path in artifact.rglob("*") if path.is_file()}
    names |= {*MODEL_FILENAMES.values(), "config.fp16.pbtxt", "config.int8.pbtxt"}
    names |= {"samples/expected.int8.json", "provenance.intoto.json"}
    assert all(WRITTEN.fullmatch(name) and not ignored(f"artifacts/{name}") for name in names)
    for name in ("notes.txt", "images/cat/0.png", "x/model.onnx"):
        assert not WRITTEN.fullmatch(name)
        assert ignored(f"artifacts/{name}")
    assert not any(
        map(ignored, ("reports/figures/loss.png", "reports/figures/layers/conv1_maps.svg"))
    )


@pytest.mark.slow
def test_no_order_of_commands_loses_images_in_data_raw(tmp_path):
    """Before the first download, after one of another source, and after the refusal."""
    project = tmp_path / "project"
    copy_code(project)
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n")
    call(project, "git", "init", "--quiet")
    files = make_files(8)
    mine = write_folder(project / "data/raw/images", files)
    places = [mine, *(project / name for name in ("data/processed/images", "artifacts/images"))]
    commands = [
        ["dvc", "repro"],
        ["dvc", "repro", "--single-item", "download"],
        ["dvc", "repro", "--force", "download"],
        ["dvc", "repro", "--single-item", "--force", "preprocess"],
        ["dvc", "repro", "--single-item", "--force", "export"],
        ["dvc", "checkout"],
        ["dvc", "exp", "run"],
        [sys.executable, "-m", "stages.download"],
        [sys.executable, "-m", "stages.export"],
    ]

    def try_all() -> None:
        for command in commands:
            # A folder that DVC should have recorded and has not, it removes: its own doing.
            is_recorded = (project / "dvc.lock").exists() or not {"exp", "checkout"} & {*command}
            checked = places if is_recorded else places[:2]
            for place in checked:
                write_folder(place, files)
            call(project, "git", "add", ".")
            call(project, "git", "commit", "--quiet", "--allow-empty", "--message=a")
            done = call(project, *command, check=False)
            assert done.returncode != 0 or "checkout" in command, done.stdout
            for place in checked:
                assert read_files(place) == files, command

    small = {"data__val_fraction": 0.4, "data__test_fraction": 0.4, "gate__min_accuracy": 0.0}
    small |= {"train__epochs": 1}
    write_params(project, **small | {"data__name": "folder", "data__source": "data/raw/images"})
    try_all()
    write_params(project, **small)  # the digits, which names none of them
    done = call(project, "dvc", "repro", check=False)
    assert "data/raw holds images/cat/000.png, " in done.stderr
    aside = [place.rename(tmp_path / str(n)) for n, place in enumerate(places) if place.exists()]
    dvc(project, "repro")
    for place, there in zip(aside, places, strict=False):
        place.rename(there)
    write_params(project, **small | {"data__name": "folder", "data__source": ["x", "data/raw"]})
    try_all()
