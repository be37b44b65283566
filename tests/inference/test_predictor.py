"""The Python API: images of every kind and number, in threads, and the model's own metadata."""

import copy
import hashlib
import io
import itertools
import json
import re
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load_file

from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.errors import UserError
from alexnet.inference import Predictor, Result
from tests.artifacts import export_small, with_metadata
from tests.conftest import ROOT, real_digits
from tests.data.making import make_config, write_folder
from tests.data.odd_images import exact_inputs, refused_inputs
from tests.photos import PHOTO, write_photos

EXACT, REFUSED = exact_inputs(), refused_inputs()
SIZES = {"resize": 32, "crop": 32, "channels": 3}  # all that an older export states
# Damaged metadata, for which `Image.open` itself raises an exception.
PILLOW_REFUSES = {"PNG, a damaged text", "PNG, a long text, orientation", "PNG, a cut gamma"}


@pytest.fixture
def images(tmp_path):
    return write_photos(tmp_path / "images")


@pytest.fixture(scope="module")
def predictor(artifact):
    return Predictor(artifact)


def test_an_image_is_the_same_in_training_and_in_prediction(artifact, tmp_path):
    """The same pixels, or the same words for what is wrong with it."""
    files = {f"{'ab'[n % 2]}/{n}.jpg": content for n, (content, _) in enumerate(EXACT.values())}
    files["b/3.jpg"] = REFUSED["HEIC"][0]
    mine = write_folder(tmp_path / "mine", files)
    data = make_config(source=str(mine), image_size=32, channels=3, on_bad_image="skip")
    download(data, tmp_path / "raw")
    meta = preprocess(data, tmp_path / "raw", tmp_path / "processed")
    trained = [load_file(file)["images"] for file in (tmp_path / "processed").glob("*.safetensors")]
    predictor = Predictor(artifact)
    predicted = [predictor.prepare(mine / name) for name in files if name != "b/3.jpg"]
    assert sorted(x.tobytes() for x in np.concatenate(trained)) == sorted(
        x.tobytes() for x in predicted
    )
    (refused,) = predictor.classify_many([mine / "b/3.jpg"])
    assert refused.name == str(mine / "b/3.jpg")
    assert refused.error == f"{mine}/b/3.jpg {meta.skipped[0].reason}"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
@pytest.mark.parametrize("kind", EXACT)
def test_a_path_its_bytes_and_its_pillow_image_are_the_same(predictor, tmp_path, kind):
    content, expected = EXACT[kind]
    (tmp_path / "image").write_bytes(content)
    pixels = predictor.prepare(str(tmp_path / "image"))
    np.testing.assert_array_equal(predictor.prepare(content), pixels)
    if kind not in PILLOW_REFUSES:
        image = Image.open(io.BytesIO(content))
        for _ in range(2):  # as opened, then as loaded
            np.testing.assert_array_equal(predictor.prepare(image), pixels)
    if kind != "TIFF in LAB, as grey":
        np.testing.assert_array_equal(predictor.prepare(np.array(expected, np.uint8)), pixels)


def test_arrays(predictor):
    """Grey, colour, and both with transparency over white; not a network's input in float."""
    rgb = np.asarray(PHOTO)[:32, :32]
    np.testing.assert_array_equal(predictor.prepare(rgb), rgb)
    grey = rgb[..., 0]
    for pixels in (grey, grey[..., None]):
        np.testing.assert_array_equal(predictor.prepare(pixels), np.stack([grey] * 3, axis=2))
    clear = np.concatenate([rgb, np.zeros((32, 32, 1), np.uint8)], axis=2)
    for pixels in (clear, clear[..., 2:]):
        assert (predictor.prepare(pixels) == 255).all()
    for wrong in (rgb / 255, rgb[None], rgb[:0], np.zeros((8, 8, 5), np.uint8), rgb.astype("i8")):
        with pytest.raises(UserError, match=r"^image is an array .*; give uint8, height x width"):
            predictor.prepare(wrong)
    with pytest.raises(UserError, match=r"^image is of the type bytearray; give a path, the bytes"):
        predictor.prepare(bytearray(b"x"))


def test_a_decompression_bomb(predictor, tmp_path, monkeypatch):
    PHOTO.save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"photo.png does not decode .* too many pixels; at most"):
        predictor.prepare(tmp_path / "photo.png")


def test_a_limit_of_pixels(artifact, images):
    predictor = Predictor(artifact, max_pixels=150 * 200 - 1)
    message = "150 x 200 pixels; at most 29,999 are decoded; make the image smaller"
    with pytest.raises(UserError, match=message):
        predictor.prepare(images / "a.png")


def test_one_several_and_many_images(predictor, images, monkeypatch):
    """In batches of two, with an unreadable image in the second of them."""
    monkeypatch.setattr("alexnet.inference.predictor.BATCH_SIZE", 2)
    several = [images / "a.png", (images / "b.jpg").read_bytes(), b"", np.asarray(PHOTO), PHOTO]
    results = list(predictor.classify_many(iter(several), top=2))
    names = [str(images / "a.png"), "images[1]", "images[2]", "images[3]", "images[4]"]
    assert [result.name for result in results] == names
    assert results.pop(2) == Result("images[2]", (), "images[2] is empty; get it again")
    readable = [*several[:2], *several[3:]]
    batch = predictor.classify_batch(readable, top=2)
    for image, result, batched in zip(readable, results, batch, strict=True):
        assert result.error is None
        for predictions in (result.predictions, batched):
            one = predictor.classify(image, top=2)
            assert [best.label for best in predictions] == [best.label for best in one]
            # Other shapes of matrices are summed in another order.
            np.testing.assert_allclose(
                [best.probability for best in predictions],
                [best.probability for best in one],
                atol=1e-6,
            )
    assert one[0].probability >= one[1].probability
    with pytest.raises(UserError, match=r"^images\[2\] is empty"):
        predictor.classify_batch(several)
    assert predictor.classify_batch([]) == list(predictor.classify_many([])) == []


def test_many_images_are_taken_as_their_results_are(predictor, monkeypatch):
    """An endless iterator does: two batches are ahead at most, and one that is left ends."""
    monkeypatch.setattr("alexnet.inference.predictor.BATCH_SIZE", 2)
    taken = itertools.count()
    endless = (PHOTO for _ in iter(lambda: next(taken), None))
    results = predictor.classify_many(endless, num_workers=2)
    for number in range(1, 8):
        assert next(results).error is None
        assert next(copy.copy(taken)) <= number + 5
    before = threading.active_count()
    results.close()
    assert threading.active_count() == before - 2


def test_threads_share_a_predictor(predictor, images):
    """Eight of them, each with photos and what makes Pillow and libtiff complain: bit for bit."""
    odd = [content for content, _ in EXACT.values()]
    inputs = [PHOTO.crop((n, 0, n + 300, 300)) for n in range(8)] + odd
    expected = [predictor.classify(image) for image in inputs]
    filters = list(warnings.filters)
    start = threading.Barrier(8)

    def classify_all():
        start.wait()
        return [predictor.classify(image) for image in inputs]

    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(classify_all) for _ in range(8)]]
    assert found == [expected] * 8
    assert warnings.filters == filters


def test_the_lines_of_the_documentation_run(artifact, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts").symlink_to(artifact)
    images.rename("photos")
    (tmp_path / "photos/x.jpg").write_bytes(b"")
    shutil.copy("photos/b.jpg", "photo.jpg")
    text = (ROOT / "docs/use.md").read_text()
    (lines,) = re.findall(r"## In Python\n\n```python\n(.*?)```", text, re.DOTALL)
    exec(lines, {})
    *classes, first, second = capsys.readouterr().out.splitlines()
    assert [re.fullmatch(r"\w+ \d+\.\d%", line) is not None for line in classes] == [True] * 3
    assert {first, second} == {
        "photos/x.jpg photos/x.jpg is empty; get it again",
        f"photos/b.jpg {classes[0].split()[0]}",
    }


def test_num_threads_changes_no_label(artifact):
    images = real_digits()[0][:100].numpy()
    one, two = (Predictor(artifact, num_threads=n).run(images) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert (one.argmax(1) == two.argmax(1)).all()


def nan_in_the_dark(artifact, path):
    """A model whose outputs are the logarithm of how much brighter than 128 the image is."""
    node, float32, uint8 = onnx.helper.make_node, onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
    outputs = [
        onnx.helper.make_tensor_value_info(name, float32, ["n", 10])
        for name in ("logits", "probabilities")
    ]
    nodes = [
        node("Cast", ["images"], ["x"], to=float32),
        node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        node("Sub", ["mean", "middle"], ["above"]),
        node("Log", ["above"], ["log"]),
        node("Reshape", ["log", "column"], ["scores"]),
        node("Expand", ["scores", "shape"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"]),
    ]
    constants = {"axes": [1, 2, 3], "column": [-1, 1], "shape": [1, 10], "middle": np.float32(128)}
    graph = onnx.helper.make_graph(
        nodes,
        "dark",
        [onnx.helper.make_tensor_value_info("images", uint8, ["n", 32, 32, 3])],
        outputs,
        [onnx.numpy_helper.from_array(np.array(v), name) for name, v in constants.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
    )
    metadata = {e.key: e.value for e in onnx.load(artifact / "model.onnx").metadata_props}
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def test_values_that_are_no_numbers_are_an_error(artifact, tmp_path):
    """Of the image that they belong to, and of no other one of its batch."""
    predictor = Predictor(nan_in_the_dark(artifact, tmp_path / "model.onnx"))
    dark, bright = (np.full((32, 32, 3), value, np.uint8) for value in (1, 200))
    message = f"{tmp_path}/model.onnx gives values that are no numbers (NaN or infinity); "
    for call in (predictor.classify, lambda image: predictor.classify_batch([bright, image])):
        call(bright)
        with pytest.raises(UserError, match=re.escape(message)):
            call(dark)
    with pytest.raises(UserError, match=re.escape(message)):
        predictor.run(np.stack([bright, dark]))
    results = list(predictor.classify_many([bright, dark, bright]))
    assert [result.error is None for result in results] == [True, False, True]
    assert results[1].error.startswith(f"images[1]: {message}")


def test_preprocessing_comes_from_the_model_file(tmp_path):
    """Stored at 48 pixels, of which the network takes the centre of 32."""
    predictor = Predictor(export_small(tmp_path / "artifacts", stored_size=48))
    PHOTO.save(tmp_path / "photo.png")
    resized = PHOTO.resize((48, 48), Image.Resampling.BICUBIC, (106.5, 0, 533.5, 427))
    expected = np.asarray(resized)[8:40, 8:40]
    np.testing.assert_array_equal(predictor.prepare(tmp_path / "photo.png"), expected)


def test_the_steps_of_an_older_export_are_those_it_did_not_state(artifact, tmp_path):
    older = with_metadata(artifact, tmp_path / "model.onnx", preprocessing=json.dumps(SIZES))
    assert Predictor(older).method == "bicubic"


def test_no_model_or_another_one(artifact, tmp_path):
    with pytest.raises(UserError, match=r"model.onnx does not exist"):
        Predictor(tmp_path)
    (tmp_path / "model.onnx").write_text("not a model")
    with pytest.raises(UserError, match=r"is not a model that onnxruntime can run"):
        Predictor(tmp_path)
    model = artifact / "model.onnx"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert Predictor(artifact, sha256=digest).classify(PHOTO) == Predictor(model).classify(PHOTO)
    with pytest.raises(
        UserError, match=r"model.onnx does not have the SHA-256 0+; it was replaced"
    ):
        Predictor(artifact, sha256="0" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": "[" * 100_000},
        {"classes": json.dumps(["a", "b"])},
        {"classes": json.dumps(["\x1b[2J", *"bcdefghij"])},
        {"preprocessing": json.dumps({"resize": 10**9, "crop": 32, "channels": 3})},
        {"preprocessing": json.dumps({"resize": 16, "crop": 32, "channels": 3})},
        {"preprocessing": json.dumps(SIZES | {"filter": "bilinear"})},  # of the centre square
        {"preprocessing": "[]"},
    ],
)
def test_impossible_metadata_is_refused(artifact, tmp_path, changes):
    path = with_metadata(artifact, tmp_path / "model.onnx", **changes)
    with pytest.raises(UserError, match=r"has no valid metadata of classes and preprocessing"):
        Predictor(path)


def test_weights_are_read_from_the_model_file_alone(artifact, tmp_path, monkeypatch):
    """A graph may name another file for them, which no digest of the model file covers."""
    model = onnx.load(artifact / "model.onnx")
    (tmp_path / "weights").mkdir()
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights/x", size_threshold=1000)
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / "weights/x").stat().st_size > 300_000
    for digest in (None, hashlib.sha256(path.read_bytes()).hexdigest()):
        with pytest.raises(UserError, match=r"External data path does not exist"):
            Predictor(path, sha256=digest)
