"""What was measured, as tables for people."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

MIB = 1 << 20


def show(result: dict[str, Any]) -> None:
    # A narrow terminal or a pipe must not lose a column.
    console = Console(width=max(Console().width, 110), highlight=False)
    for line in conditions(result):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(comparison(result))
    for line in remarks(result):
        console.print(line, soft_wrap=True)
    console.print(watching(result), soft_wrap=True)
    for table in growth(result):
        console.print()
        console.print(table)
    if "whole_run" in result:
        console.print()
        console.print(whole_run(result["whole_run"]), soft_wrap=True)


def conditions(result: dict[str, Any]) -> list[str]:
    given = result["conditions"]
    each = f"{given['steps']} steps" if given["steps"] else f"{given['seconds']:g} s or more"
    return [
        f"device {given['device']}, {given['processor']}, {given['threads']} threads, "
        f"PyTorch {given['torch']}",
        f"data {given['data']}, {given['num_images']:,} training images",
        f"measured in turn, rounds: {given['rounds']} (batch sizes: 1), each time in a fresh "
        f"process that trains alone: {each} after {given['warm_up_steps']} steps of warm-up",
    ]


def comparison(result: dict[str, Any]) -> Table:
    """A column for each loop; the ratio is of equal batches."""
    columns = result["comparison"]
    table = Table(title="Training", title_justify="left", box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    for column in columns:
        table.add_column(column["loop"], justify="right", no_wrap=True)

    def row(label: str, cells: Sequence[str]) -> None:
        table.add_row(label, *cells)

    def giga(key: str) -> list[str]:
        return [f"{column[key] / 1e9:,.1f}" for column in columns]

    row("images", [f"{column['num_images']:,}" for column in columns])
    row("images a step", [f"{column['batch_size']:,}" for column in columns])
    row("computes in", [column["precision"] for column in columns])
    row("images/s, median", [f"{column['images_per_second']:,.0f}" for column in columns])
    row("images/s, lowest to highest", [spread(column["rounds"]) for column in columns])
    ratio = f"{result['ratio']:.2f} ({spread(result['ratios'], 2)})"
    row("times the tutorial's speed", ["1", ratio, *[""] * (len(columns) - 2)])
    row("seconds an epoch", [f"{column['seconds_per_epoch']:,.1f}" for column in columns])
    row("peak memory, MiB", [f"{column['peak_bytes'] / MIB:,.0f}" for column in columns])
    row("GFLOP/s of the network as written", giga("flops_per_second_as_written"))
    row("GFLOP/s really computed", giga("flops_per_second_done"))
    row("GFLOP/s of a large product, the best", giga("peak_flops_per_second"))
    row("really computed, of that", [f"{column['share_of_peak']:.0%}" for column in columns])
    return table


def remarks(result: dict[str, Any]) -> list[str]:
    """What the rows of the comparison count."""
    tutorial, ours = result["comparison"][:2]
    memory = (
        "allocated on the GPU"
        if result["conditions"]["device"].startswith("cuda")
        else "resident, of the process that trains; the loader's two workers come on top"
    )
    return [
        f"peak memory: {memory}",
        f"an image forward and backward: {tutorial['flops_per_image_as_written'] / 1e6:,.0f} MFLOP "
        f"as written, {ours['flops_per_image_done'] / 1e6:,.0f} in ours",
        "really computed: with the products of ours' optimizer, "
        f"{ours['flops_per_step_of_optimizer'] / 1e9:,.1f} GFLOP a step",
    ]


def watching(result: dict[str, Any]) -> str:
    """What the samples of each layer cost."""
    taken = result["watching"]
    return (
        f"each layer's vitals, once an epoch: of {taken['num_images']:,} images with validation "
        f"{spread(taken['seconds_with'], 2)} s with them, {spread(taken['seconds_without'], 2)} s "
        f"without: {taken['ratio']:.3f} times as long; that makes "
        f"{taken['ratio_of_whole_epoch']:.4f} times of a whole epoch"
    )


def growth(result: dict[str, Any]) -> list[Table]:
    if "growth" not in result:
        return []
    available = result["conditions"]["num_images"]
    batches, data = result["growth"]["batch_size"], result["growth"]["num_images"]
    by_batch = grid(
        "Ours by batch size", "images a step", "images/s", "seconds an epoch", "peak memory, MiB"
    )
    for row in batches:
        by_batch.add_row(
            f"{row['batch_size']:,}",
            f"{row['images_per_second']:,.0f}",
            f"{row['seconds_per_epoch']:,.1f}",
            f"{row['peak_bytes'] / MIB:,.0f}",
            repeated(row, available),
        )
    by_data = grid(
        f"Ours by size of the data set, {data[0]['batch_size']:,} images a step",
        *("images", "images/s", "lowest to highest", "of the first", "seconds an epoch"),
    )
    for row in data:
        by_data.add_row(
            f"{row['num_images']:,}",
            f"{row['images_per_second']:,.0f}",
            spread(row["rounds"]),
            f"{row['relative']:.1%}",
            f"{row['seconds_per_epoch']:,.1f}",
            repeated(row, available),
        )
    return [by_batch, by_data]


def grid(title: str, *headings: str) -> Table:
    """With a column at the end for what there is to say about a row."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    return table


def repeated(row: dict[str, Any], available: int) -> str:
    if row["num_images"] <= available:
        return ""
    return f"the {available:,} images, repeated up to {row['num_images']:,}"


def whole_run(taken: dict[str, Any]) -> str:
    return (
        f"{taken['epochs']} epochs, validation included: {taken['cold_seconds']:,.1f} s with "
        f"compilation, {taken['warm_seconds']:,.1f} s with the compiled step at hand"
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"
