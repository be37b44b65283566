"""params.yaml: a wrong value fails with an error that names its key."""

import math
import os
import re
import time
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from alexnet import config
from alexnet.errors import UserError
from alexnet.network.model import VARIANTS
from tests.conftest import ROOT, write_params


def test_the_projects_own_files_are_valid():
    config.load(ROOT / "params.yaml")
    config.load(ROOT / "demo" / "params.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data__name": "cifar11"}, r"data\.name: should be 'cifar10', .* \(got 'cifar11'\)"),
        ({"train__epochs": 0}, r"train\.epochs: should be greater than or equal to 1 \(got 0\)"),
        ({"train__epochs": -3}, r"train\.epochs: .* \(got -3\)"),
        ({"train__epochs": 2.5}, r"train\.epochs: should be a valid integer"),
        ({"train__epochs": "ten"}, r"train\.epochs: should be a valid integer .*\(got 'ten'\)"),
        ({"train__epochs": True}, r"train\.epochs: should be a valid integer"),
        ({"train__learning_rate": -0.1}, r"train\.learning_rate: should be greater than 0"),
        ({"train__learning_rate": float("nan")}, r"train\.learning_rate"),
        ({"train__epoch": 3}, r"train\.epoch: no such key; did you mean train\.epochs\?$"),
        ({"train__momentum": 1.0}, r"train\.momentum: should be less than 1"),
        ({"train__momentum": 0.0}, r"train\.nesterov: needs a momentum above 0"),
        (
            {"train__batch_norm": "folded", "train__batch_size": 1},
            r"train\.batch_norm: with one image .* set it to none or train\.batch_size above 1",
        ),
        ({"train__crop_padding": 32}, r"train\.crop_padding: 32 does not fit images of 32 pixels"),
        ({"train__crop_size": 33}, r"train\.crop_size: 33 does not fit images of 32 pixels"),
        ({"train__crop_size": 0}, r"train\.crop_size: should be greater than or equal to 1"),
        ({"train__cutout": 32}, r"train\.cutout: 32 does not fit .* 32 pixels \(data\.image_size"),
        (
            {"train__cutout": 28, "train__crop_size": 28},
            r"train\.cutout: 28 does not fit images of 28 pixels \(train\.crop_size\)",
        ),
        ({"train__scale": 1.0}, r"train\.scale: should be less than 1"),
        ({"train__degrees": 181.0}, r"train\.degrees: should be less than or equal to 180"),
        (
            {"train__color_jitter": -0.1},
            r"train\.color_jitter: should be greater than or equal to 0",
        ),
        ({"train__muon_weight_decay": -1.0}, r"train\.muon_weight_decay: .* or equal to 0"),
        ({"train__cutout": -1}, r"train\.cutout: should be greater than or equal to 0"),
        ({"train__hflip": True}, r"train\.hflip: should be 'none', 'random' or 'alternating'"),
        (
            {"train__pca_lighting_std": float("inf")},
            r"train\.pca_lighting_std: should be a finite number",
        ),
        (
            {"train__pca_lighting_std": 0.1, "data__channels": 1},
            r"train\.pca_lighting_std: shifts colours; with data\.channels 1 it must be 0",
        ),
        ({"train__ema_decay": 1.0}, r"train\.ema_decay: should be less than 1"),
        ({"train__muon_lr": 0.0}, r"train\.muon_lr: .* greater than 0"),
        ({"train__num_processes": "all"}, r"train\.num_processes: .*'auto'.*\(got 'all'\)"),
        ({"train__num_processes": 0}, r"train\.num_processes: .* \(got 0\)"),
        (
            {"evaluate__views": "five"},
            r"evaluate\.views: should be 'none', 'mirrored', 'shifted' or",
        ),
        ({"data__name": "folder"}, r"data\.source: a folder data set needs the path or URL"),
        ({"data__source": "here"}, r"data\.source: digits comes with scikit-learn"),
        ({"data__source": ""}, r"data\.source: is empty; give a URL or a path, or null"),
        ({"data__source": ["x", " "]}, r"data\.source: is empty; give"),
        ({"data__sha256": "abc"}, r"data\.sha256: should be null or 64 hexadecimal digits"),
        ({"data__sha256": ""}, r"data\.sha256: should be null or 64 hexadecimal digits"),
        ({"data__source": 3}, r"data\.source: should be a valid string"),
        ({"data__channels": 4}, r"data\.channels: should be 1 or 3"),
        (
            {"data__resize": "torchvision", "train__crop_size": 30},
            r"data\.resize: .* only if data\.image_size less train\.crop_size is a multiple of 4",
        ),
        ({"data__val_fraction": 0.9}, r"data\.val_fraction: with test_fraction it leaves no"),
        ({"gate__min_accuracy": 97}, r"gate\.min_accuracy: should be less than or equal to 1"),
        ({"repeat__seeds": [1, 1]}, r"repeat\.seeds: name each seed once, and not train\.seed"),
        ({"repeat__seeds": [2, 7], "train__seed": 7}, r"repeat\.seeds: .* not train\.seed, which"),
        ({"repeat__seeds": [-1]}, r"repeat\.seeds: should be greater than or equal to 0"),
        ({"repeat__seeds": 1}, r"repeat\.seeds: should be a valid list"),
        ({"repeat__from_nothing": True}, r"^\S+: repeat\.from_nothing: .*without any, set it to f"),
        ({"model__variant": "vgg"}, r"model\.variant: should be 'cifar', 'imagenet-2012' or"),
        ({"export__precisions": ["int8"]}, r"export\.precisions: fp32 is always exported"),
        ({"export__precisions": ["fp32", "fp32"]}, r"export\.precisions: .* each precision once"),
        (
            {"export__precisions": ["fp32", "int4"]},
            r"export\.precisions.*: should be 'fp32', 'fp16'",
        ),
        ({"model__ops": "mine"}, r"model\.ops: should be 'library' or 'reference'"),
        (
            {"model__ops": "reference", "train__precision": "bf16"},
            r"train\.precision: the reference operations .* float32; set it to auto or fp32",
        ),
        (
            {"model__start_from": "imagenet", "data__channels": 1},
            r"model\.start_from: imagenet needs model\.variant one-weird-trick \(it is cifar\), "
            r"data\.channels 3 \(it is 1\), data\.image_size 256 .* the preset imagenet sets all",
        ),
        ({"model__start_from": " "}, r"model\.start_from: is no path; set it to null for none"),
        (
            {"model__start_source": "w.pth", "model__start_from": "w.safetensors"},
            r"model\.start_source: is of imagenet's weights; set it to null",
        ),
        (
            {"train__freeze": "features"},
            r"train\.freeze: needs weights to start from .* without any, set it to none",
        ),
    ],
)
def test_a_wrong_value_is_named(tmp_path, change, message):
    write_params(tmp_path, **change)
    with pytest.raises(UserError, match=message):
        config.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "change",
    [
        {"train__crop_size": 32},
        {"train__crop_size": 28, "train__cutout": 27},
        {"train__crop_padding": 31, "train__cutout": 31},
        {"train__pca_lighting_std": 0.1},
        {"train__pca_lighting_std": 0.0, "data__channels": 1},
        {"train__nesterov": False, "train__momentum": 0.0},
        {"train__num_processes": 2},
    ],
)
def test_values_at_their_limits_are_valid(tmp_path, change):
    write_params(tmp_path, **change)
    values = config.load(tmp_path / "params.yaml")
    assert values.crop_size == change.get("train__crop_size", 32)


def test_every_key_of_train_reruns_the_stage_or_is_execution_only():
    """DVC tracks a key, or a change of it does not change the result; never neither."""
    stage = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["train"]
    tracked = set(stage["params"])
    untracked = {f"train.{key}" for key in config.EXECUTION_ONLY}
    untracked |= {f"model.{key}" for key in config.ORIGIN_ONLY}  # the weights are a dependency
    assert tracked | untracked == {
        f"{section}.{key}"
        for section, kind in (("model", config.Model), ("train", config.Train))
        for key in kind.model_fields
    }
    assert not tracked & untracked


def test_the_names_of_the_variants_are_those_of_their_classes():
    assert get_args(config.Variant) == tuple(VARIANTS)


def test_all_mistakes_are_listed_at_once(tmp_path):
    write_params(tmp_path, train__epochs=-1, export__opset=3)
    with pytest.raises(UserError, match=r"train\.epochs(.|\n)*export\.opset"):
        config.load(tmp_path / "params.yaml")


def test_a_missing_key(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("  momentum: 0.9\n", "")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"train\.momentum: is missing"):
        config.load(tmp_path / "params.yaml")


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"params.yaml does not exist"):
        config.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "", "\0"])
def test_a_file_that_is_no_params_file(tmp_path, text):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"is not valid YAML|should hold the sections data, model"):
        config.load(tmp_path / "params.yaml")


def test_numbers_in_yaml_1_2(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    text = text.replace("weight_decay: 0.0005", "weight_decay: 5e-4")
    (tmp_path / "params.yaml").write_text(text)
    assert config.load(tmp_path / "params.yaml").train.weight_decay == 5e-4


def numbers(model=config.Params, above=()):
    """(section, key, type) of each number in the parameters, by their annotations."""
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, config.Section):
            yield from numbers(field.annotation, (*above, key))
        else:
            for kind in {int, float} & set(types_in(field.annotation)):
                yield (*above, key, kind)


def types_in(annotation):
    return [annotation, *(kind for part in get_args(annotation) for kind in types_in(part))]


NUMBERS = list(numbers())


@pytest.mark.parametrize(("section", "key", "kind"), NUMBERS)
def test_every_number_is_bounded_on_both_sides(params, section, key, kind):
    assert len(NUMBERS) > 40
    values = params.model_dump()
    wrong = [10**30, -(10**30)]
    if kind is float:
        wrong = [*map(float, wrong), 1e12, -1e12, math.inf, -math.inf, math.nan]
    for value in [*wrong, 10**10, -(10**10)]:
        if key.endswith("seed") and value == 10**10:
            continue
        values[section][key] = value
        with pytest.raises(ValidationError, match=rf"{section}\.{key}"):
            config.Params.model_validate(values)


def test_the_limit_is_in_the_message(tmp_path):
    write_params(tmp_path, train__epochs=10**30, train__degrees=math.nan)
    with pytest.raises(UserError) as caught:
        config.load(tmp_path / "params.yaml")
    assert "epochs: should be less than or equal to 1000000 (got 10000000" in str(caught.value)
    assert "degrees: should be a finite number (got nan)" in str(caught.value)


GOOD = (ROOT / "demo/params.yaml").read_text()
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB + GOOD.replace("name: digits", "name: *a8"), r"data\.name: should be .*\(got \[\["),
        (GOOD.replace("name: digits", "name: &r [*r]"), r"data\.name: should be"),
        ("- " * 9000, "is not valid YAML: maximum recursion depth"),
        (
            GOOD + "".join(f"k{n}: 1\n" for n in range(1000)),
            r"k9: no such.*\n.*990 more mistakes",
        ),
        (GOOD + f"zz: '{'a' * 9000}'\nzz: '{'b' * 9000}'\n", "is not valid YAML: .*\n"),
        (GOOD.replace("name: digits", f"name: {'x' * 9000}"), r"\(got 'xxxxxx"),
        (GOOD.replace("epochs: 6", f"epochs: {'9' * 5000}"), "is not valid YAML: Exceeds"),
        (GOOD.replace("epochs: 6", f"epochs: 0x{'f' * 9000}"), "a number of thousands of digits"),
        (GOOD.replace("epochs: 6", "epochs: 2001-13-45"), "is not valid YAML: month"),
        (GOOD.replace("source:\n", 'source: "a\\0b"\n'), r"data\.source: .* zero byte"),
        (GOOD.replace("  source:\n", f"  source: {['x'] * 101}\n"), "at most 100 items"),
        (
            GOOD.replace("  epochs", "  some epochs: 1\n  epochs"),
            r"train\.some epochs: no such key; did you mean train\.epochs",
        ),
        (GOOD + "1: 2\n", r"params\.yaml: Keys should be strings \(got 1\)"),
        (GOOD + "#" * 50_000, "has 5.,... bytes; at most 50,000 are read"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (None, "is not a plain file"),
        (Path("/dev/zero"), "is not a plain file"),
        (Path("/"), "is not a plain file"),
    ],
)
def test_a_hostile_file_ends_in_a_few_lines(tmp_path, text, message):
    """In place of a text, None: a pipe that no one writes to; or the path of another thing."""
    path = text if isinstance(text, Path) else tmp_path / "params.yaml"
    if text is None:
        os.mkfifo(path)
    elif not isinstance(text, Path):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        config.load(path)
    assert re.search(message, str(caught.value), re.DOTALL)
    assert len(str(caught.value)) < 2000


def test_a_wrong_value_fails_in_under_a_second(tmp_path, run):
    """Before torch is imported: that alone takes longer."""
    write_params(tmp_path, train__epochs=-1)
    seconds = []
    for _ in range(3):  # the fastest of three: other work on the machine is not the command's
        start = time.perf_counter()
        result = run("train", fresh=True)
        seconds.append(time.perf_counter() - start)
    assert result.returncode == 1
    assert result.stderr == (
        "error: params.yaml: train.epochs: should be greater than or equal to 1 (got -1)\n"
    )
    assert min(seconds) < 1
