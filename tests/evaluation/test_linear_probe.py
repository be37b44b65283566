"""The linear probe against torchvision, scikit-learn, and answers that are known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torchvision.models import alexnet as torchvision_alexnet

from alexnet.evaluation.linear_probe import (
    feature_layer,
    features_of,
    fit_and_predict,
    linear_probe_accuracy,
)
from alexnet.network.model import AlexNetCifar, AlexNetImageNet2012, AlexNetOneWeirdTrick
from alexnet.network.parent import Parent, ParentNetwork
from alexnet.network.weights import ModelMetadata
from tests.conftest import METADATA, real_digits
from tests.photos import PHOTO
from tests.runs import CPU, narrow


def test_features_are_what_torchvisions_convolutions_give():
    """Of a real photograph; without copies, of 224 pixels there are none."""
    torch.manual_seed(0)
    theirs = torchvision_alexnet(num_classes=10).eval()
    ours = AlexNetOneWeirdTrick(10)
    copied = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(copied))
    metadata = ModelMetadata("one-weird-trick", METADATA.classes, 224, *[METADATA.mean] * 2)
    photo = torch.from_numpy(np.array(PHOTO.crop((100, 100, 324, 324))))[None]
    x = (photo.permute(0, 3, 1, 2) / 255 - torch.tensor(metadata.mean).view(3, 1, 1)) / (
        torch.tensor(metadata.std).view(3, 1, 1)
    )
    with torch.no_grad():
        expected = theirs.features(x).flatten(1).numpy()
    found = features_of(ours, metadata, photo, CPU, 8)
    assert found.shape == (1, 9216)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "size", "expected"),
    [
        (AlexNetCifar, 32, "pool5"),
        (AlexNetOneWeirdTrick, 224, "dropout1"),
        (AlexNetOneWeirdTrick, 96, "pool5"),
        (AlexNetImageNet2012, 227, "flatten"),
    ],
)
def test_the_pools_copies_are_no_features(variant, size, expected):
    with torch.device("meta"):
        model = variant(10)
    assert feature_layer(model, size) == expected


def test_the_accuracy_is_that_of_scikit_learn_on_the_features():
    """By a forward pass of its own, and the better of two regularisations on held-out images."""
    torch.manual_seed(0)
    model, (images, labels) = narrow().eval(), real_digits()
    parent = ParentNetwork(Parent("weights", "0" * 64), model, METADATA)
    train, test = (images[:600], labels[:600]), (images[1400:], labels[1400:])
    found = linear_probe_accuracy(parent, train, test, CPU, 256)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (METADATA.mean, METADATA.std))
    features = []
    for batch in (train[0], test[0]):
        x = (batch.permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.no_grad():
            for name, layer in model.named_children():
                if name == "avgpool":
                    break
                x = layer(x)
        features.append(x.flatten(1).double().numpy())
    centre, scale = features[0].mean(axis=0), features[0].std(axis=0)
    fitted, measured = ((each - centre) / np.where(scale > 0, scale, 1) for each in features)
    expected = LogisticRegression(max_iter=5000).fit(fitted, train[1]).score(measured, test[1])
    assert found == pytest.approx(expected, abs=0.01)
    assert 0.5 < found < 0.95, "random convolutions: better than chance, and far from perfect"
    assert linear_probe_accuracy(parent, train, test, CPU, 256) == found


def test_a_strong_regularisation_is_chosen_where_features_are_many():
    """A hundred of 400 features have the label, faintly; one is constant."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2600)
    features = rng.normal(size=(2600, 400)).astype(np.float32)
    features[:, :100] += 0.2 * labels[:, None]
    features[:, -1] = 3.0
    fitted, others = slice(600), slice(600, None)
    predicted = fit_and_predict(features[fitted], labels[fitted], features[others])
    weak = LogisticRegression(C=1.0, max_iter=5000).fit(features[fitted], labels[fitted])
    accuracy = (predicted == labels[others]).mean()
    assert accuracy > weak.score(features[others], labels[others]) + 0.03


def test_images_of_one_class_and_too_few_to_hold_out_any():
    features = np.eye(8, dtype=np.float32)
    assert fit_and_predict(features[:2], np.array([3, 4]), features[:2]).tolist() == [3, 4]
    assert fit_and_predict(features[:3], np.full(3, 7), features).tolist() == [7] * 8
