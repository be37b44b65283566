"""The page that runs the model in a browser, used as by a person, in headless Chromium."""

import json
import shutil
from urllib.parse import urlsplit

import pytest

from alexnet.inference.predictor import MODEL_FILENAMES
from alexnet.inference.verification import MAX_DIFFERENCE
from tests.artifacts import METADATA, confident_model, export_model
from tests.conftest import real_digits
from tests.inference.browser import NEEDS, Site, assert_shows, encoded, seal
from tests.names import NASTY, REQUESTING

# Chromium's software GPU.
GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
RULE = "The smallest file that loses at most half a percentage point of accuracy"

pytestmark = NEEDS


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("site")).serve() as site:
        yield site


def test_the_samples_are_classified_as_expected(site):
    """Chosen as files, dropped, pasted, and clicked on."""
    rows = site.expected("int8")
    folder = site.artifact / "samples"
    first = (folder / rows[0]["file"]).read_bytes()
    given = {"name": "a.png", "type": "image/png", "base64": encoded(first)}
    steps = [("choose", str(folder / row["file"])) for row in rows]
    steps += [("drop", given), ("paste", given)]
    steps += [("sample", index) for index in range(len(rows))]
    results, requests, messages = site.use(*steps)
    for shown, row in zip(results, [*rows, rows[0], rows[0], *rows], strict=False):
        assert_shows(shown, row, MAX_DIFFERENCE["int8"])
    hosts = {urlsplit(url).hostname for url in requests if not url.startswith(("blob:", "data:"))}
    assert hosts == {"127.0.0.1"}, "nothing leaves the machine"
    assert [text for text in messages if text != "No available adapters."] == []
    # Without a GPU it is the smallest file on the processor, and the page says so.
    size = (site.artifact / MODEL_FILENAMES["int8"]).stat().st_size / 1e6
    assert results[0]["choice"].startswith(f"int8 on the processor (WebAssembly): {size:.1f} MB")
    assert results[0]["why"] == f"{RULE}. WebGPU finds no GPU here."
    loaded = [url.rsplit("/", 1)[1] for url in requests if url.endswith(".onnx")]
    assert loaded == [MODEL_FILENAMES["int8"]]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_other_precisions(site, precision):
    results, requests, _ = site.use(("run", f"{precision} on the processor"), ("sample", 1))
    assert any(url.endswith(MODEL_FILENAMES[precision]) for url in requests)
    assert results[1]["choice"].startswith(precision)
    assert results[1]["why"] == "Your choice."
    assert_shows(results[1], site.expected(precision)[1], MAX_DIFFERENCE[precision])


def test_a_precision_that_costs_accuracy_is_not_the_first(site):
    folder = site.copy("coarse")
    precisions = json.loads((folder / "manifest.json").read_text())["precisions"]
    precisions["int8"]["accuracy_drop"] = 0.02
    seal(folder, precisions=precisions)
    (shown,), _, _ = site.use(query="?artifact=../../coarse")
    assert shown["choice"].startswith("fp16 on the processor")


def test_the_true_label_stands_beside_the_prediction(site):
    folder = site.copy("labelled")
    true = [site.expected("int8")[0]["label"], "some other"]
    for path in folder.glob("samples/expected*.json"):
        rows = json.loads(path.read_text())
        for row, name in zip(rows, true, strict=False):
            row["true_label"] = name
        path.write_text(json.dumps(rows))
    seal(folder)
    steps = [("sample", 0), ("sample", 1), ("choose", str(folder / "samples/00.png"))]
    results, _, _ = site.use(*steps, query="?artifact=../../labelled")
    assert results[0]["truth"] == f"✓ Right: the true label is {true[0]}"
    assert results[1]["truth"] == "✗ Wrong: the true label is some other"
    assert results[2]["truth"] is None, "of a visitor's image nobody knows it"


def test_a_sample_that_browsers_decode_differently_is_not_compared(site):
    """Of four, one is a JPEG and one has a transparent corner. They are shown all the same."""
    results, _, _ = site.use(("sample", 1), ("sample", 2))
    for shown, row in zip(results, site.expected("int8")[1:3], strict=False):
        assert_shows(shown, row, MAX_DIFFERENCE["int8"])
    assert "by what this device computes: 2 samples." in results[0]["trust"]


def test_alexnet_on_the_gpu_computes_the_same(site):
    """WebGPU on Chromium's software GPU, which the page does not take by itself."""
    images = real_digits()[0][:40]
    export_model(site.folder / "whole", confident_model(METADATA), METADATA, images, num_samples=3)
    steps = [("sample", 1), ("run", "fp32 on the GPU"), ("sample", 1)]
    results, requests, messages = site.use(*steps, query="?artifact=../../whole", args=GPU)
    assert results[0]["choice"].startswith("fp32 on the processor")
    assert results[0]["why"] == f"{RULE}. WebGPU has no GPU here, only software."
    assert results[2]["choice"].startswith("fp32 on the GPU (WebGPU)")
    assert any(url.endswith("asyncify.wasm") for url in requests)
    row = site.expected(artifact="whole")[1]
    for shown in results[0], results[2]:
        assert_shows(shown, row, MAX_DIFFERENCE["fp32"])
    on_cpu, on_gpu = ([p["probability"] for p in results[k]["predictions"]] for k in (0, 2))
    assert on_cpu != on_gpu, "both were the same device"
    assert messages == []


def test_a_gpu_that_computes_something_else_is_not_used(site):
    """Nor a processor: then the page classifies nothing."""
    folder = site.copy("moved")

    def move(precision):
        name = "expected" if precision == "fp32" else f"expected.{precision}"
        rows = site.expected(precision)
        rows[3]["probabilities"][METADATA.classes[0]] += 2 * MAX_DIFFERENCE[precision]
        (folder / "samples" / f"{name}.json").write_text(json.dumps(rows))
        seal(folder)

    move("fp32")
    results, _, _ = site.use(("run", "on the GPU"), query="?artifact=../../moved", args=GPU)
    for shown in results:
        assert shown["state"] == "ready"
        assert shown["choice"].startswith("int8 on the processor")
    assert results[0]["why"].startswith("The GPU is not used: the GPU (WebGPU) computes other prob")
    move("int8")
    (shown,), _, _ = site.use(query="?artifact=../../moved")
    assert shown["state"] == "error"
    assert "the processor (WebAssembly) computes other probabilities than" in shown["message"]


def test_names_are_not_executed(site):
    """Of classes, and of the data set; nor do long ones make the page wider than a phone."""
    hostile = site.copy("hostile")
    names = json.loads((hostile / "labels.json").read_text())
    long = next(name for name in NASTY if len(name) > 200)
    names = dict(zip(names, [*REQUESTING, "<b>", "&amp;", long], strict=True))
    for path in (hostile / "labels.json", *hostile.glob("samples/expected*.json")):
        text = path.read_text()
        for name, other in names.items():
            text = text.replace(json.dumps(name), json.dumps(other))
        path.write_text(text)
    manifest = json.loads((hostile / "manifest.json").read_text())
    seal(hostile, data=manifest["data"] | {"name": "".join(REQUESTING)})
    steps = [("sample", 0), ("overflow", 360)]
    results, requests, _ = site.use(*steps, query="?artifact=../../hostile")
    expected = json.loads((hostile / "samples/expected.int8.json").read_text())[0]
    assert_shows(results[0], expected, MAX_DIFFERENCE["int8"])
    assert not [url for url in requests if "stolen" in url]
    assert results[1] <= 0


@pytest.mark.parametrize("has_lengths", [True, False])
def test_a_download_is_seen(site, has_lengths):
    """Its bytes and its share, as it grows; a model's also where the server sends no length."""
    address = f"{'' if has_lengths else '/slow'}/deploy/browser/"
    results, _, _ = site.use(("goto", address), ("run", "fp32"))
    shares: dict[str, list[float]] = {}
    for text, share in results[1]["downloads"]:
        name, _, amount = text.partition(": ")
        assert amount.endswith(" MB")
        shares.setdefault(name, []).append(share)
    model, runtime = shares[MODEL_FILENAMES["fp32"]], shares["ONNX Runtime"]
    assert model == sorted(model)
    assert model[-1] == 1
    if has_lengths:
        assert any(0.1 < share < 0.9 for share in runtime)
        assert runtime[-1] == 1
    else:
        assert any(0.1 < share < 0.9 for share in model)
        assert set(runtime) == {-1}, "its length is not known"


def damaged(site):
    """(name of a folder, what the page says of it)"""

    def edit(name, file, change):
        folder = site.copy(name)
        path = folder / file
        path.write_bytes(change(path.read_bytes()))
        return folder

    def flip(content):
        return content[:150] + bytes([content[150] ^ 1]) + content[151:]

    model = MODEL_FILENAMES["int8"]
    size = f"{(site.artifact / model).stat().st_size:,}"
    edit("flipped", model, flip)
    yield "flipped", f"{model} has another SHA-256 than the manifest says; reload"
    edit("cut", model, lambda content: content[:1000])
    yield "cut", f"{model} has 1,000 bytes, expected {size}; reload"
    edit("longer", model, lambda content: content + b"x")
    yield "longer", f"{model} has at least"
    edit("sample", "samples/02.png", flip)
    yield "sample", "samples/02.png has another SHA-256"
    edit("labels", "labels.json", lambda content: content.replace(b"nine", b"none"))
    yield "labels", "labels.json has another SHA-256"
    edit("manifest", "manifest.json", lambda content: content.replace(b"fc1_coll", b"fc2_coll"))
    yield "manifest", "manifest.json and SHA256SUMS do not match"
    edit("text", "manifest.json", lambda _: b"<!doctype html>")
    yield "text", "manifest.json is not JSON; is this the folder of an exported artifact?"
    edit("bytes", "manifest.json", lambda content: b"\xff" + content)
    yield "bytes", "manifest.json is not JSON"
    edit("list", "manifest.json", lambda _: b"[]")
    yield "list", "manifest.json has schema undefined, and this page reads"
    seal(site.copy("newer"), schema=9)
    yield "newer", "manifest.json has schema 9, and this page reads"
    seal(site.copy("bare"), precisions=None)
    yield "bare", "manifest.json is damaged: it has no precisions"
    seal(site.copy("lanczos"), preprocessing={"filter": "lanczos"})
    yield "lanczos", "The manifest asks for filter: lanczos, and this page does bicubic or bilinear"
    folder = site.copy("outside")
    rows = site.expected()
    rows[0]["file"] = "../../secret.png"
    (folder / "samples/expected.json").write_text(json.dumps(rows))
    seal(folder)
    yield "outside", "manifest.json does not list samples/../../secret.png"
    seal(edit("other", model, lambda _: b"no model"))
    yield "other", f"{model} does not run on the processor (WebAssembly): "
    (site.copy("missing") / model).unlink()
    yield "missing", f"/missing/{model} was not found (404)"
    yield "none", "/none/manifest.json was not found (404); name the folder of an exported"


def test_a_damaged_or_unknown_artifact_is_not_run(site):
    table = list(damaged(site))
    steps = [("goto", f"?artifact=../../{name}") for name, _ in table]
    results, _, _ = site.use(*steps)
    for (name, message), shown in zip(table, results, strict=False):
        assert shown["state"] == "error", name
        assert message in shown["message"], name
        assert shown["trust"] == "", "nothing runs"


def test_without_a_secure_context_nothing_is_checked_and_nothing_runs(site):
    mapped = ["--host-resolver-rules=MAP page.test 127.0.0.1"]
    (shown,), requests, _ = site.use(host="page.test", args=mapped)
    assert shown["state"] == "error"
    assert "check digests on https and on localhost only" in shown["message"]
    assert not any("artifacts" in url for url in requests)


def test_without_its_package_the_page_names_the_command(site):
    shutil.copytree(
        site.page, site.folder / "bare" / "page", ignore=shutil.ignore_patterns("node_modules")
    )
    results, _, _ = site.use(("goto", "/bare/page/?artifact=/artifacts"))
    assert "ONNX Runtime Web is not installed: run `npm ci`" in results[0]["message"]


def test_an_error_for_what_is_no_image_and_then_the_next_image(site, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    text = {"text": "https://example.org/cat.png"}
    steps = [("choose", str(tmp_path / "text.png")), ("drop", text), ("paste", text)]
    results, _, _ = site.use(*steps, ("sample", 0))
    assert [shown["state"] for shown in results[:3]] == ["error"] * 3
    assert [shown["message"] for shown in results[:3]] == [
        "text.png is not an image that this browser can read.",
        "What was dropped is not a file; save the image and drop its file.",
        "The clipboard has no image.",
    ]
    assert not results[0]["visible"]
    assert_shows(results[3], site.expected("int8")[0], MAX_DIFFERENCE["int8"])
