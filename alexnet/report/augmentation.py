"""What training does to its images, in words that follow the switches."""

from alexnet import config
from alexnet.report.style import percent


def describe_augmentation(train: config.Train) -> str:
    """What `train` does to each image, in the order in which it is done; "" if nothing."""
    done = []
    if train.crop_size is not None:
        done.append(f"cut out in a square of {train.crop_size} pixels anywhere")
    if train.crop_padding:
        done.append(f"shifted by up to {train.crop_padding} pixels")
    if train.hflip == "alternating":
        done.append("mirrored in every second epoch")
    elif train.hflip == "random":
        done.append("mirrored at random")
    if train.scale:
        done.append(f"widened, narrowed, stretched or squeezed by up to {percent(train.scale, 0)}")
    if train.degrees:
        done.append(f"turned by up to {train.degrees:g}°")
    if train.color_jitter:
        done.append(
            f"contrast, saturation and brightness changed by up to {percent(train.color_jitter, 0)}"
        )
    if train.pca_lighting_std:
        done.append("colours shifted along the pixels' principal components")
    if train.cutout:
        done.append(f"a square of {train.cutout}×{train.cutout} pixels hidden")
    if train.cutmix_prob and train.cutmix_end:
        early = f" in the first {percent(train.cutmix_end, 0)} of the epochs"
        when = "" if train.cutmix_end == 1 else early
        done.append(f"for {percent(train.cutmix_prob, 0)} of the pairs{when} a square traded")
    return ", ".join(done)
