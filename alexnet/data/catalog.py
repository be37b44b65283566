"""The published data sets: their addresses, digests and contents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PublishedFile:
    """A file to download; None where nothing certain is known to check it against.

    num_bytes, sha256: of the file as it is published.
    content_sha256: of what it decompresses to, whoever has compressed it.
    """

    name: str
    num_bytes: int | None = None
    sha256: str | None = None
    content_sha256: str | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """A published data set.

    format: of its files; `preprocess` has a reader for each.
    mirrors: URLs of the folder of `files`, tried in order.
    counts: the published number of images in each split.
    image_size, channels: of an image as published, in pixels.
    """

    format: Literal["cifar", "idx", "digits"]
    files: tuple[PublishedFile, ...]
    mirrors: tuple[str, ...]
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    image_size: int
    channels: int


_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_DIGITS = tuple("0123456789")

DATASETS: dict[str, DatasetSpec] = {
    "cifar10": DatasetSpec(
        format="cifar",
        files=(
            PublishedFile(
                "cifar-10-binary.tar.gz",
                170052171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        mirrors=(_TORONTO,),
        classes=tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),  # noqa: SIM905
        counts={"train": 50000, "test": 10000},
        image_size=32,
        channels=3,
    ),
    "cifar100": DatasetSpec(
        format="cifar",
        files=(
            PublishedFile(
                "cifar-100-binary.tar.gz",
                168513733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            ),
        ),
        mirrors=(_TORONTO,),
        classes=tuple(
            """
            apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge
            bus butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud
            cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox
            girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
            maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
            pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
            road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel
            streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
            trout tulip turtle wardrobe whale willow_tree wolf woman worm
            """.split()  # noqa: SIM905
        ),
        counts={"train": 50000, "test": 10000},
        image_size=32,
        channels=3,
    ),
    "mnist": DatasetSpec(
        format="idx",
        files=(
            PublishedFile(
                "train-images-idx3-ubyte.gz",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            PublishedFile(
                "train-labels-idx1-ubyte.gz",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            PublishedFile(
                "t10k-images-idx3-ubyte.gz",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            PublishedFile(
                "t10k-labels-idx1-ubyte.gz",
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        classes=_DIGITS,
        counts={"train": 60000, "test": 10000},
        image_size=28,
        channels=1,
    ),
    "fashion-mnist": DatasetSpec(
        format="idx",
        files=(
            PublishedFile(
                "train-images-idx3-ubyte.gz",
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            PublishedFile(
                "train-labels-idx1-ubyte.gz",
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            PublishedFile(
                "t10k-images-idx3-ubyte.gz",
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            PublishedFile(
                "t10k-labels-idx1-ubyte.gz",
                5148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        classes=(
            *("t-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle-boot"),
        ),
        counts={"train": 60000, "test": 10000},
        image_size=28,
        channels=1,
    ),
    # Comes with scikit-learn, whose version is locked: nothing to download or to check.
    "digits": DatasetSpec(
        format="digits",
        files=(PublishedFile("digits.csv.gz"),),
        mirrors=(),
        classes=_DIGITS,
        counts={"train": 1797},
        image_size=8,
        channels=1,
    ),
}


def known_content(sha256: str) -> str | None:
    """The published file with this content, as `train-images-idx3-ubyte of mnist`."""
    for name, spec in DATASETS.items():
        for file in spec.files:
            if file.content_sha256 == sha256:
                return f"{file.name.removesuffix('.gz')} of {name}"
    return None
