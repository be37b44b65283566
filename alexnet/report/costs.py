"""Each layer's share of the operations and of the measured time."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from alexnet.network.summary import Layer
from alexnet.progress import format_seconds
from alexnet.report.canvas import MARGIN, Canvas, text_width
from alexnet.report.style import (
    BLUE,
    MUTED,
    ORANGE,
    SKY,
    SMALL,
    TEXT,
    WIDTH,
    TitledFigure,
    applied,
    percent,
)

LINE, ABOVE = 0.24, 0.36
TINY = 0.005  # layers below this share of both are summed in the last line


@applied()
def costs(
    layers: Sequence[Layer],
    times: Sequence[Mapping[str, float | str]],
    device: str,
    is_folded: bool,
    frozen: Sequence[str] = (),
) -> TitledFigure:
    """Each layer's share of the operations beside its share of the measured time.

    `layers`: of the network as it trains. `times`: rows of layer, forward_seconds and
    backward_seconds for one image. `device`: where they were measured. `is_folded`:
    batch normalisation trained along (`train.batch_norm`), which both leave out.
    """
    seconds = {
        str(row["layer"]): (float(row["forward_seconds"]), float(row["backward_seconds"]))
        for row in times
    }
    flops = _training_flops(layers)
    all_flops, all_seconds = sum(flops.values()), sum(map(sum, seconds.values()))
    shares = {
        name: (flops.get(name, 0) / all_flops, sum(s) / all_seconds) for name, s in seconds.items()
    }
    small = [name for name, pair in shares.items() if max(pair) < TINY]
    lines = [name for name in shares if name not in small]
    names = [*lines, "1 other" if len(small) == 1 else f"{len(small)} others"] if small else lines

    left = MARGIN + max(text_width(name, TEXT) for name in names) + 0.12
    half = (WIDTH - left - MARGIN - 0.2) / 2
    longest = max(max(pair) for pair in shares.values())
    bar = (half - 0.55) / longest
    canvas = Canvas(
        ABOVE + len(names) * LINE + 0.1,
        _title(shares),
        "Forward and backward pass of one image in training"
        + (", without the batch normalisation that is folded at the end" if is_folded else "")
        + (f". Frozen layers ({', '.join(frozen)}) as if they trained" if frozen else "")
        + ". Operations are counted; time is "
        f"measured on {device}, layer by layer, {format_seconds(all_seconds)} in total. Where a "
        "layer's share of the time exceeds its share of the operations, its limit is not "
        "arithmetic, but memory traffic, or work too small to keep the processor busy.",
    )
    body = canvas.body()
    right = left + half + 0.2
    _heading(body, left, "operations", (("", BLUE),))
    _heading(body, right, "time", (("forward", ORANGE), ("backward", SKY)))
    for number, name in enumerate(names):
        y = ABOVE + (number + 0.5) * LINE
        body.text(left - 0.1, y, name, fontsize=TEXT, ha="right", va="center")
        group = [name] if name in shares else small
        operations = sum(flops.get(each, 0) for each in group) / all_flops
        forward = sum(seconds[each][0] for each in group) / all_seconds
        backward = sum(seconds[each][1] for each in group) / all_seconds
        body.barh(y, bar * operations, 0.14, left=left, color=BLUE)
        body.barh(y, bar * forward, 0.14, left=right, color=ORANGE)
        body.barh(y, bar * backward, 0.14, left=right + bar * forward, color=SKY)
        for start, share in ((left, operations), (right, forward + backward)):
            if not share:
                continue
            body.text(
                start + bar * share + 0.05,
                y,
                percent(share),
                fontsize=SMALL,
                color=MUTED,
                va="center",
            )
    return canvas.figure


def _training_flops(layers: Sequence[Layer]) -> dict[str, int]:
    """Forward, the weights' gradient and, except in the first layer, the input's gradient."""
    weighted = [layer for layer in layers if layer.flops]
    return {layer.name: layer.flops * (2 if layer is weighted[0] else 3) for layer in weighted}


def _title(shares: Mapping[str, tuple[float, float]]) -> str:
    slowest = max(shares, key=lambda name: shares[name][1])
    operations, time = shares[slowest]
    return (
        f"Training cost by layer, of the network as trained: {slowest} takes "
        f"{percent(time, 0)} of the time for {percent(operations, 0)} of the operations"
    )


def _heading(body: Axes, left: float, name: str, parts: Sequence[tuple[str, str]]) -> None:
    body.text(left, 0.14, name, fontsize=TEXT, weight="bold", va="center")
    x = left + text_width(name, TEXT, bold=True) + 0.15
    for part, colour in parts:
        if part:
            body.barh(0.14, 0.12, 0.12, left=x, color=colour)
            body.text(x + 0.17, 0.14, part, fontsize=SMALL, color=MUTED, va="center")
            x += 0.17 + text_width(part, SMALL) + 0.15
