"""Limitations, terms and citations of each data set, for the model card.

The receiver of a model should know what its test figures rest on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetCard:
    """Documentation of a data set; each text is a sentence in Markdown."""

    limitations: tuple[str, ...]
    terms: str
    citations: tuple[str, ...]


_TINY = (
    "The images are 32x32 pixels, scaled down from pictures that were collected from the web: a "
    "part, labelled anew, of 80 Million Tiny Images, which its publishers withdrew in 2020 for "
    "the offensive labels and pictures in it."
)
_CIFAR_TERMS = (
    "Its publishers ask to be cited and state no licence; the photographs are others' work."
)
_CIFAR_CITATIONS = (
    "A. Krizhevsky: *Learning Multiple Layers of Features from Tiny Images*. 2009.",
    "B. Barz, J. Denzler: *Do We Train on Test Data? Purging CIFAR of Near-Duplicates*. "
    "Journal of Imaging 6(6), 2020.",
)
_LABEL_ERRORS_CITATION = (
    "C. G. Northcutt, A. Athalye, J. Mueller: *Pervasive Label Errors in Test Sets Destabilize "
    "Machine Learning Benchmarks*. NeurIPS Datasets and Benchmarks, 2021."
)

DATASET_CARDS: dict[str, DatasetCard] = {
    "cifar10": DatasetCard(
        limitations=(
            _TINY,
            "About 3.3 % of the test images have a near-duplicate among the training images "
            "(Barz and Denzler, 2020), so the accuracy flatters the model a little.",
            "About 0.5 % of the test labels are wrong (Northcutt et al., 2021).",
        ),
        terms=_CIFAR_TERMS,
        citations=(*_CIFAR_CITATIONS, _LABEL_ERRORS_CITATION),
    ),
    "cifar100": DatasetCard(
        limitations=(
            _TINY,
            "About 10 % of the test images have a near-duplicate among the training images "
            "(Barz and Denzler, 2020), so the accuracy flatters the model.",
            "About 5.9 % of the test labels are wrong (Northcutt et al., 2021).",
        ),
        terms=_CIFAR_TERMS,
        citations=(*_CIFAR_CITATIONS, _LABEL_ERRORS_CITATION),
    ),
    "mnist": DatasetCard(
        limitations=(
            "Centred, size-normalised digits, white on black: other handwriting looks different.",
            "About 0.15 % of the test labels are wrong (Northcutt et al., 2021).",
        ),
        terms="See the terms of its publishers.",
        citations=(
            "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: *Gradient-Based Learning Applied to "
            "Document Recognition*. Proceedings of the IEEE 86(11), 1998.",
            _LABEL_ERRORS_CITATION,
        ),
    ),
    "fashion-mnist": DatasetCard(
        limitations=(
            "Product pictures of one shop, cut out and turned to grey: photographs look different.",
            "Shirt, t-shirt, pullover and coat overlap, for people too.",
        ),
        terms="MIT license.",
        citations=(
            "H. Xiao, K. Rasul, R. Vollgraf: *Fashion-MNIST: a Novel Image Dataset for "
            "Benchmarking Machine Learning Algorithms*. arXiv 1708.07747, 2017.",
        ),
    ),
    "digits": DatasetCard(
        limitations=(
            "8x8 pixels in 17 greys, enlarged: the data set shows that the pipeline works; it "
            "does not measure how well handwriting is read.",
            "Training and test images come from the same few writers, so the accuracy says little "
            "about other people's handwriting.",
        ),
        terms="CC BY 4.0 (UCI Machine Learning Repository).",
        citations=(
            "E. Alpaydin, C. Kaynak: *Optical Recognition of Handwritten Digits*. "
            "UCI Machine Learning Repository, 1998.",
        ),
    ),
    "folder": DatasetCard(
        limitations=(
            "These are the sender's own images, and only the sender knows their limitations: ask "
            "how they were collected and labelled.",
        ),
        terms="Ask the sender.",
        citations=(),
    ),
}
