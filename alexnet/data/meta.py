"""What data/processed holds, in words and numbers: meta.json."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from alexnet.errors import UserError
from alexnet.files import read_json, write_json


@dataclass(frozen=True)
class Meta:
    """A preprocessed data set.

    `mean` and `std` are of pixel / 255, per channel, over the train split alone;
    `counts` the images of each class in each split; `duplicates` how many images of
    the second split of a pair such as `train-test` are, pixel by pixel, in the first
    one too; `source` and `source_sha256` what data/raw said of its origin.
    """

    name: str
    classes: tuple[str, ...]
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: dict[str, dict[str, int]]
    duplicates: dict[str, int]
    source: str
    source_sha256: str

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def title(self) -> str:
        """What a person would call it: images of one's own by the name of their source."""
        if self.name != "folder":
            return self.name
        return self.source.rstrip("/").rsplit("/", 1)[-1].split("?")[0]

    def num_images(self, split: str) -> int:
        return sum(self.counts[split].values())


def save_meta(folder: Path, meta: Meta) -> None:
    write_json(folder / "meta.json", asdict(meta))


def load_meta(folder: Path) -> Meta:
    """Raises UserError if meta.json is missing or does not say all that Meta does."""
    path = folder / "meta.json"
    try:
        return TypeAdapter(Meta).validate_python(read_json(path))
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(str(part) for part in detail["loc"])
        raise UserError(f"{path}: {key}: {detail['msg']}; preprocess again") from None
