"""What training does to its images, in words that follow the switches."""

from alexnet import config
from alexnet.report.style import percent


def in_words(train: config.Train) -> str:
    """What `train` does to each image, in the order in which it is done; "" if nothing."""
    done = []
    if train.crop_size is not None:
        done.append(f"cut out in a square of {train.crop_size} pixels anywhere")
    if train.crop_padding:
        done.append(f"shifted by up to {train.crop_padding} pixels")
    if train.flip == "alternating":
        done.append("mirrored in every second epoch")
    elif train.flip == "random":
        done.append("mirrored at random")
    if train.zoom:
        done.append(f"widened, narrowed, stretched or squeezed by up to {percent(train.zoom, 0)}")
    if train.turn:
        done.append(f"turned by up to {train.turn:g}°")
    if train.tone:
        done.append(
            f"contrast, saturation and brightness changed by up to {percent(train.tone, 0)}"
        )
    if train.lighting:
        done.append("colours shifted along the pixels' principal components")
    if train.cutout:
        done.append(f"a square of {train.cutout}×{train.cutout} pixels hidden")
    if train.cutmix and train.cutmix_until:
        early = f" in the first {percent(train.cutmix_until, 0)} of the epochs"
        when = "" if train.cutmix_until == 1 else early
        done.append(f"for {percent(train.cutmix, 0)} of the pairs{when} a square traded")
    return ", ".join(done)
