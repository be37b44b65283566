"""What stands on the page, in which order: each picture with a heading and what to see in it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture's place on the page: its file's name, a heading, and what to see in it."""

    name: str
    heading: str
    sentence: str


@dataclass(frozen=True)
class Chapter:
    """Pictures that answer one question."""

    key: str
    heading: str
    pictures: tuple[Picture, ...]


RESULT = Chapter(
    "result",
    "How good it is",
    (
        Picture(
            "confusion_matrix",
            "What is taken for what",
            "A perfect classifier fills the diagonal only; look for coloured cells beside it, "
            "which often come in pairs of classes that look alike.",
        ),
        Picture(
            "hardest_classes",
            "Which classes are hard",
            "The same by class, the hardest first: what is missed, and what it is taken for.",
        ),
        Picture(
            "reliability",
            "Whether its confidence can be believed",
            "A network that says 80 % should be right four times in five.",
        ),
        Picture(
            "mistakes",
            "Where it was sure and wrong",
            "Compare each image with the answer given: an unusual view, a busy background "
            "or a doubtful label explains most of them.",
        ),
    ),
)
TRAINING = Chapter(
    "training",
    "How it learned",
    (
        Picture(
            "loss",
            "Loss over the epochs",
            "Both curves should fall together; a validation loss that turns upwards says that "
            "the network is becoming too sure of itself.",
        ),
        Picture(
            "accuracy",
            "Accuracy over the epochs",
            "Where training keeps rising and validation stays flat, the network "
            "begins to learn the training images by heart.",
        ),
        Picture(
            "learning_rate",
            "Learning rate",
            "The size of a training step in each epoch: compare its course with the "
            "loss above, which mostly settles where the rate becomes small.",
        ),
        Picture(
            "stability",
            "Whether training was stable, layer by layer",
            "Lines that run side by side say that all layers learn at a like pace; one that "
            "drops away or shoots up points to the layer where training goes wrong.",
        ),
        Picture(
            "training_samples",
            "What training sees",
            "Under each original stand the versions that training may meet instead; what they are "
            "should still be plain to see, or the augmentation is too strong.",
        ),
    ),
)
INSIDE = Chapter(
    "inside",
    "What goes on inside",
    (
        Picture(
            "conv1_filters",
            "What the first layer looks for",
            "Each square is one filter of the first convolution, drawn as the patch of image "
            "that it answers to most strongly: above as it began, below as it ended.",
        ),
        Picture(
            "feature_maps",
            "What each layer makes of an image",
            "Read a row from left to right: where things are is given up step by step for what "
            "they are.",
        ),
        Picture(
            "exciting_patches",
            "What excites a channel",
            "Patches of one channel have something in common: find it, and you know what the "
            "channel stands for. From layer to layer they grow, and so does what they share.",
        ),
        Picture(
            "saliency",
            "Where in the image the answer comes from",
            "Two ways to ask: which pixels would change the answer, and what it loses when "
            "they are hidden.",
        ),
        Picture(
            "neighbours",
            "Which images are alike to it",
            "The last hidden layer puts images side by side that mean the same to the network.",
        ),
    ),
)
NETWORK = Chapter(
    "network",
    "The network, layer by layer",
    (
        Picture(
            "architecture",
            "From image to logits",
            "From the input image at the top to one logit for each class at the bottom: "
            "the wider a block, the more values pass there on their way to a decision.",
        ),
        Picture(
            "volumes",
            "As volumes, from left to right",
            "The same after the 2012 paper's second figure: maps grow fewer pixels and more "
            "channels, until nothing of the picture's plane is left.",
        ),
        Picture(
            "costs",
            "Where the operations go, and where the time",
            "Operations are counted, time is measured; the two need not agree.",
        ),
    ),
)
CHAPTERS = (RESULT, TRAINING, INSIDE, NETWORK)
PICTURES = tuple(picture for chapter in CHAPTERS for picture in chapter.pictures)
