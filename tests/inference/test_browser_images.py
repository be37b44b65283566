"""The page in a browser prepares and classifies images as `alexnet predict` does."""

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_images

from alexnet.inference.predictor import Predictor
from tests.data.encoding import after_header, chunk, encode
from tests.data.odd_images import exact_inputs
from tests.inference.browser import NEEDS, Site, encoded

CHINA, FLOWER = (Image.fromarray(image) for image in load_sample_images().images)  # 640x427
# Formats that Chromium does not read.
UNREAD = ("TIFF", "PBM", "PGM", "PPM")

pytestmark = NEEDS


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("site")).serve() as site:
        yield site


@pytest.fixture(scope="module")
def compare(site, tmp_path_factory):
    """{name: the page's pixels less the predictor's} for {name: an image file's bytes}.

    The page's error where it gives one.
    """
    predictor = Predictor(site.artifact)
    path = tmp_path_factory.mktemp("images") / "image"

    def compare(images, resize=48, crop=40, channels=3):
        predictor.resize, predictor.crop, predictor.channels = resize, crop, channels
        preprocessing = {"resize": resize, "crop": crop, "channels": channels}
        contents = [{"base64": encoded(content)} for content in images.values()]
        steps = [("prepare", content | {"preprocessing": preprocessing}) for content in contents]
        results, _, _ = site.use(*steps)
        found = {}
        for (name, content), pixels in zip(images.items(), results, strict=False):
            path.write_bytes(content)
            expected = predictor.prepare(path).astype(int)
            is_error = isinstance(pixels, str)
            found[name] = pixels if is_error else np.reshape(pixels, expected.shape) - expected
        return found

    return compare


def assert_equal(differences, names):
    differing = {name: np.abs(differences[name]).max() for name in names}
    assert not {name: largest for name, largest in differing.items() if largest}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_zoo_has_the_same_pixels(compare, channels):
    zoo = {name: content for name, (content, _) in exact_inputs().items()}
    differences = compare(zoo, channels=channels)
    read = [name for name in zoo if not name.startswith(UNREAD)]
    assert len(read) > 25
    for name in set(zoo) - set(read):
        assert differences[name] == "This is not an image that this browser can read", name
    # Chromium leaves out the lower half of 16 bits, Pillow divides by 257.
    deep = [name for name in read if "16 bits" in name]
    assert all(np.abs(differences[name]).max() <= 1 for name in deep)
    assert_equal(differences, set(read) - set(deep))


def test_the_zoo_has_the_same_classes(site, tmp_path):
    """As the page displays them, after the file was chosen."""
    predictor = Predictor(site.artifact, "int8")
    steps, expected = [], []
    for index, (name, (content, _)) in enumerate(exact_inputs().items()):
        path = tmp_path / str(index)
        path.write_bytes(content)
        steps.append(("choose", str(path)))
        (best,) = predictor.classify(path, 1)
        expected.append((name, best))
    results, _, _ = site.use(*steps)
    for (name, best), shown in zip(expected, results, strict=False):
        if name.startswith(UNREAD):
            assert shown["message"].endswith("is not an image that this browser can read."), name
        else:
            prediction = shown["predictions"][0]
            assert prediction["label"] == best.label, name
            assert prediction["probability"] == pytest.approx(best.probability, abs=1e-3), name


def photos():
    """Real photographs as cameras, phones and tools write them."""
    clear = FLOWER.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(FLOWER.size))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for sampling in range(3):
        yield f"JPEG, chroma {sampling}", encode(CHINA, "JPEG", quality=80, subsampling=sampling)
    for orientation in range(1, 9):
        turned = exif_of(orientation)
        yield f"JPEG, orientation {orientation}", encode(CHINA, "JPEG", quality=90, exif=turned)
    yield "JPEG, progressive", encode(CHINA, "JPEG", quality=75, progressive=True)
    yield "JPEG, grey", encode(FLOWER.convert("L"), "JPEG")
    yield "JPEG, CMYK", encode(FLOWER.convert("CMYK"), "JPEG")
    yield "JPEG, a profile", encode(FLOWER, "JPEG", icc_profile=profile)
    yield "PNG, gamma", after_header(encode(FLOWER), chunk(b"gAMA", (100_000).to_bytes(4, "big")))
    yield "PNG, palette", encode(FLOWER.convert("P"), transparency=bytes(range(256)))
    yield "PNG, transparent", encode(clear)
    yield "PNG, grey and transparent", encode(clear.convert("LA"))
    yield "WebP", encode(CHINA, "WEBP", quality=80)
    yield "WebP, transparent", encode(clear, "WEBP", quality=80)
    yield "WebP, lossless, transparent", encode(clear, "WEBP", lossless=True)
    yield "GIF", encode(FLOWER, "GIF")
    yield "BMP", encode(FLOWER, "BMP")
    for width, height in ((20, 25), (301, 203), (201, 427), (33, 400), (400, 33), (48, 90)):
        yield f"PNG, {width}x{height}", encode(CHINA.crop((50, 0, 50 + width, height)))


def exif_of(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block


@pytest.mark.parametrize("channels", [1, 3])
def test_photographs_have_the_same_pixels(compare, channels):
    """Decoded, turned, laid over white, resized and cropped: bit for bit."""
    differences = compare(dict(photos()), channels=channels)
    assert_equal(differences, differences)


def test_what_chromium_decodes_otherwise(compare):
    """The two differences that docs/browser.md states."""
    noise = np.random.default_rng(0).integers(0, 1 << 16, (200, 300), np.uint16)
    turned = encode(CHINA, "WEBP", lossless=True, exif=exif_of(6))
    differences = compare({"grey": encode(Image.fromarray(noise)), "turned": turned})
    assert np.abs(differences["grey"]).max() == 1
    assert np.abs(differences["turned"]).mean() > 20, "WebP's orientation is not applied"


def video(image):
    """A film of one still image (YUV4MPEG2), in the colours of a camera: BT.601, 16 to 235."""
    red, green, blue = np.moveaxis(np.asarray(image) / 255, 2, 0)
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = [(blue - light) / 1.772, (red - light) / 1.402]
    quarters = [(c[::2, ::2] + c[1::2, ::2] + c[::2, 1::2] + c[1::2, 1::2]) / 4 for c in colours]
    planes = [16 + 219 * light, *(128 + 224 * quarter for quarter in quarters)]
    frame = b"FRAME\n" + b"".join(plane.round().astype(np.uint8).tobytes() for plane in planes)
    return f"YUV4MPEG2 W{image.width} H{image.height} F30:1 C420jpeg\n".encode() + 3 * frame


def test_a_picture_from_the_camera(site, tmp_path):
    """The camera films a photograph. Cancelled, taken, and then refused."""
    photo = FLOWER.crop((0, 0, 640, 426))
    photo.save(tmp_path / "photo.png")
    (tmp_path / "camera.y4m").write_bytes(video(photo))
    predictor = Predictor(site.artifact, "int8")
    fake = ["--use-fake-device-for-media-stream"]
    fake += [f"--use-file-for-fake-video-capture={tmp_path / 'camera.y4m'}"]
    steps = [("open", None), ("cancel", None), ("open", None), ("take", None)]
    results, _, _ = site.use(*steps, args=[*fake, "--use-fake-ui-for-media-stream"])
    assert results[2]["state"] == "ready"
    assert not results[2]["visible"], "the cancelled picture is not shown"
    assert results[3]["visible"]
    taken = Image.open(io.BytesIO(b64decode(results[3]["input"].partition(",")[2])))
    expected = predictor.prepare(tmp_path / "photo.png").astype(int)
    difference = np.abs(np.asarray(taken.convert("RGB")) - expected)
    assert difference.max() <= 6, "a film has a colour for each four pixels"
    assert difference.mean() < 0.5
    assert results[3]["best"].startswith(predictor.classify(tmp_path / "photo.png", 1)[0].label)
    (refused, _), _, _ = site.use(("open", None), args=fake)
    assert refused["state"] == "error"
    assert refused["message"].startswith("The camera is not allowed here; allow it")
