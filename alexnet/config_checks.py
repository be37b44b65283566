"""Where the sections of params.yaml have to fit each other, and how a mistake is explained.

Each check takes all of them and raises ValueError, whose message begins with the wrong key.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic_core import ErrorDetails

from alexnet.errors import choose_from
from alexnet.files import message_of, shorten
from alexnet.nested import dotted_keys

if TYPE_CHECKING:
    from alexnet.config import Params

# What torchvision's weights of ImageNet go with; alexnet/pretrained/published.py has their file.
IMAGENET_SETTINGS = {"model.variant": "one-weird-trick", "data.channels": 3}
IMAGENET_SETTINGS |= {"data.image_size": 256, "data.resize": "torchvision", "train.crop_size": 224}
# What has a meaning with weights to start from alone, and its value without.
WITHOUT_PARENT = {"train.freeze": "none", "train.pretrained_lr_scale": 1.0}
WITHOUT_PARENT |= {"repeat.from_nothing": False}


def augmentation_fits_image(params: "Params") -> None:
    train, data = params.train, params.data
    stored = (data.image_size, "data.image_size")
    cropped = (train.crop_size, "train.crop_size") if train.crop_size else stored
    limits = {"crop_padding": stored, "crop_size": stored, "cutout": cropped}
    for key, (size, given_by) in limits.items():
        value = getattr(train, key) or 0
        if value > size or (value == size and key != "crop_size"):
            raise ValueError(
                f"train.{key}: {value} does not fit images of {size} pixels ({given_by})"
            )
    if train.pca_lighting_std and data.channels != 3:
        raise ValueError(
            "train.pca_lighting_std: shifts colours; with data.channels 1 it must be 0"
        )


def torchvisions_crop_is_the_centre(params: "Params") -> None:
    if params.data.resize == "torchvision" and (params.data.image_size - params.crop_size) % 4:
        raise ValueError(
            "data.resize: torchvision's crop is the centre of the stored image only if "
            "data.image_size less train.crop_size is a multiple of 4"
        )


def images_fit_imagenet(params: "Params") -> None:
    if params.model.start_from != "imagenet":
        if params.model.start_source is not None:
            raise ValueError("model.start_source: is of imagenet's weights; set it to null")
        return
    values = dict(dotted_keys(params.model_dump()))
    if wrong := [
        f"{key} {wanted} (it is {values[key]})"
        for key, wanted in IMAGENET_SETTINGS.items()
        if values[key] != wanted
    ]:
        raise ValueError(
            f"model.start_from: imagenet needs {', '.join(wrong)}; the preset imagenet sets all "
            "of it"
        )


def nothing_needs_a_parent_without_one(params: "Params") -> None:
    if params.model.start_from is not None:
        return
    values = dict(dotted_keys(params.model_dump()))
    for key, plain in WITHOUT_PARENT.items():
        if values[key] != plain:
            raise ValueError(
                f"{key}: needs weights to start from (model.start_from); without any, set it to "
                f"{str(plain).lower()}"
            )


def from_nothing_can_normalise(params: "Params") -> None:
    train = params.train
    if params.repeat.from_nothing and train.batch_norm == "folded" and train.batch_size == 1:
        raise ValueError(
            "repeat.from_nothing: trains all layers, and with one image a step (train.batch_size) "
            "batch normalisation has nothing to normalise over"
        )


def each_seed_once(params: "Params") -> None:
    seeds = params.repeat.seeds
    if len({params.train.seed, *seeds}) <= len(seeds):
        raise ValueError("repeat.seeds: name each seed once, and not train.seed, which counts")


def reference_computes_in_fp32(params: "Params") -> None:
    if params.model.ops == "reference" and params.train.precision == "bf16":
        raise ValueError(
            "train.precision: the reference operations (model.ops) compute in float32; set it to "
            "auto or fp32"
        )


CHECKS: tuple[Callable[["Params"], None], ...] = (
    augmentation_fits_image,
    torchvisions_crop_is_the_centre,
    images_fit_imagenet,
    nothing_needs_a_parent_without_one,
    from_nothing_can_normalise,
    each_seed_once,
    reference_computes_in_fp32,
)


def explain_mistake(detail: ErrorDetails, params: "type[Params]") -> str:
    """One pydantic error as `section.key: message (got value)`."""
    kind = detail["type"]
    keys = [shorten(str(part), 60) for part in detail["loc"]]
    if kind == "extra_forbidden":
        return f"{'.'.join(keys)}: no such key; {_nearest(keys, params)}"
    # pydantic reports each branch of a union that it tried, as further parts of the key.
    key = ".".join(part for part in keys if part.isidentifier() and part not in {"str", "list"})
    # A check names the key itself.
    return f"{key}{'.' if kind == 'value_error' else ': '}{message_of(detail)}".lstrip(".: ")


def _nearest(keys: list[str], params: "type[Params]") -> str:
    """The section that has a key of this name, or the most similar key of its own section."""
    sections: dict[str, Any] = {
        name: field.annotation.model_fields  # type: ignore[union-attr]
        for name, field in params.model_fields.items()
    }
    *above, key = keys
    if elsewhere := [f"{name}.{key}" for name, known in sections.items() if key in known]:
        return f"did you mean {' or '.join(elsewhere)}?"
    prefix = "".join(f"{part}." for part in above)
    known = sections[above[0]] if above else sections
    near = choose_from(key, known)
    return near.replace("did you mean ", f"did you mean {prefix}")
