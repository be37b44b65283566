"""The sections of the page: each picture with its heading and a sentence on how to read it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Picture:
    """A picture on the page: its file's name, its heading, and how to read it."""

    name: str
    heading: str
    sentence: str


@dataclass(frozen=True)
class Section:
    """Pictures of one subject; `key` is its anchor on the page."""

    key: str
    heading: str
    pictures: tuple[Picture, ...]


EVALUATION = Section(
    "evaluation",
    "Evaluation",
    (
        Picture(
            "confusion_matrix",
            "Confusion matrix",
            "Rows are true classes, columns predicted ones. A perfect classifier fills the "
            "diagonal alone. Cells beside it that mirror each other are two classes confused in "
            "both directions.",
        ),
        Picture(
            "recall_by_class",
            "Recall by class",
            "The classes in order of recall, the lowest first, and what their images are predicted "
            "as instead.",
        ),
        Picture(
            "reliability",
            "Calibration",
            "A calibrated network is right in 80 % of the predictions that it makes with 80 % "
            "confidence.",
        ),
        Picture(
            "mistakes",
            "Mistakes of highest confidence",
            "What explains a mistake may be an unusual view, a cluttered background or a doubtful "
            "label.",
        ),
    ),
)
TRAINING = Section(
    "training",
    "Training",
    (
        Picture(
            "loss",
            "Loss",
            "Over the epochs, both losses should fall together. A validation loss that rises again "
            "while the training loss falls is a sign of overfitting.",
        ),
        Picture(
            "accuracy",
            "Accuracy",
            "Where training accuracy keeps rising and validation accuracy does not, the network "
            "memorises training images instead of learning what generalises.",
        ),
        Picture(
            "learning_rate",
            "Learning rate",
            "The scale of the optimizer's steps. Where it becomes small, the loss above usually "
            "settles.",
        ),
        Picture(
            "stability",
            "Training stability by layer",
            "Parallel curves mean that all layers learn at a similar pace. A curve that drops or "
            "shoots up points to the layer where training fails.",
        ),
        Picture(
            "training_samples",
            "Data augmentation",
            "Training sees augmented versions of the images, if augmentation is on. If a person "
            "can no longer recognise the object, it is too strong.",
        ),
    ),
)
INTERPRETABILITY = Section(
    "interpretability",
    "Interpretability",
    (
        Picture(
            "conv1_filters",
            "Filters of the first convolution",
            "Each square is one filter, drawn as the image patch that activates it maximally: "
            "above before training, below after it.",
        ),
        Picture(
            "feature_maps",
            "Feature maps",
            "Read a row from left to right: from layer to layer the maps lose position and, in a "
            "trained network, gain meaning.",
        ),
        Picture(
            "activating_patches",
            "Maximally activating patches",
            "What the patches of a channel have in common is what the channel detects. From layer "
            "to layer the receptive fields grow, and in a trained network the features with them.",
        ),
        Picture(
            "saliency",
            "Saliency: gradient and occlusion",
            "Two ways to find the pixels that decide a prediction: the gradient of its logit, and "
            "the drop of its probability when a part of the image is occluded.",
        ),
        Picture(
            "neighbours",
            "Nearest neighbours",
            "In the features of the last hidden layer, images of the same class should lie close "
            "together.",
        ),
    ),
)
# Of a run that started from other weights.
PARENT_NEIGHBOURS = Picture(
    "parent_neighbours",
    "Nearest neighbours before training",
    "The same test images in the features that the training started from. What lies close together "
    "here already, training did not have to learn.",
)
FROZEN_FILTERS = (
    "Each square is one filter, drawn as the image patch that activates it maximally. conv1 was "
    "frozen: training has left its filters as they were."
)
ARCHITECTURE = Section(
    "architecture",
    "Architecture",
    (
        Picture(
            "architecture",
            "Layers",
            "From the input image at the top to one logit for each class at the bottom, with the "
            "output shape, parameters, operations and receptive field of each layer.",
        ),
        Picture(
            "volumes",
            "Feature maps as volumes",
            "The same network after the 2012 paper's second figure: from left to right many pixels "
            "of few channels become few pixels of many maps, and at last one value for each class.",
        ),
        Picture(
            "costs",
            "Operations and time by layer",
            "Of the network as trained. Operations are counted, time is measured; the two need not "
            "agree.",
        ),
    ),
)
SECTIONS = (EVALUATION, TRAINING, INTERPRETABILITY, ARCHITECTURE)
PICTURES = tuple(picture for section in SECTIONS for picture in section.pictures)


def warm_start_sections(is_conv1_frozen: bool) -> tuple[Section, ...]:
    """The sections of a run that started from other weights."""
    pictures = [*INTERPRETABILITY.pictures, PARENT_NEIGHBOURS]
    if is_conv1_frozen:
        pictures = [
            replace(each, sentence=FROZEN_FILTERS) if each.name == "conv1_filters" else each
            for each in pictures
        ]
    probed = replace(INTERPRETABILITY, pictures=tuple(pictures))
    return tuple(probed if section is INTERPRETABILITY else section for section in SECTIONS)
