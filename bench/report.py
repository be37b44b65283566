"""The results of the benchmarks as tables."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from alexnet.progress import significant

MIB = 1 << 20


def show_training(result: dict[str, Any]) -> None:
    # A narrow terminal or a pipe must not lose a column.
    console = Console(width=max(Console().width, 110), highlight=False)
    for line in conditions(result):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(comparison(result))
    for line in remarks(result):
        console.print(line, soft_wrap=True)
    console.print(monitoring(result), soft_wrap=True)
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
        f"process that trains alone: {each} after {given['warm_up_steps']} steps of warm-up"
        + (
            ", the expert's and ours after three epochs"
            if given["device"].startswith("cuda")
            else ""
        ),
    ]


def comparison(result: dict[str, Any]) -> Table:
    """A column for each loop; the ratios are of equal batches."""
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
    row("images/s, lowest to highest", [value_range(column["rounds"]) for column in columns])
    for where in ("host", "device"):
        steps = [f"{1e3 * column[f'{where}_seconds_per_step']:,.2f}" for column in columns]
        row(f"ms a step, until {'launched' if where == 'host' else 'done'}", steps)
    for other in ("tutorial", "expert"):
        row(f"times the {other}'s speed", [relative(column, other) for column in columns])
    row("seconds an epoch", [significant(column["seconds_per_epoch"]) for column in columns])
    row("peak memory, MiB", [f"{column['peak_bytes'] / MIB:,.0f}" for column in columns])
    row("GFLOP/s of the network as written", giga("flops_per_second_as_written"))
    row("GFLOP/s computed", giga("flops_per_second_done"))
    row("GFLOP/s of a large product, the best", giga("peak_flops_per_second"))
    row("computed, of that", [f"{column['share_of_peak']:.0%}" for column in columns])
    return table


def relative(column: dict[str, Any], other: str) -> str:
    """The speed in multiples of another loop's, where both were compared."""
    if other in column["relative_to"]:
        found = column["relative_to"][other]
        return f"{found['ratio']:.2f} ({value_range(found['ratios'], 2)})"
    return "1" if column["loop"] == other else ""


def remarks(result: dict[str, Any]) -> list[str]:
    """How the rows of the comparison are counted."""
    ours = next(column for column in result["comparison"] if column["loop"] == "ours")
    memory = (
        "allocated on the GPU"
        if result["conditions"]["device"].startswith("cuda")
        else "resident, of the process that trains; the tutorial's two workers come on top"
    )
    return [
        f"peak memory: {memory}",
        f"an image forward and backward: {ours['flops_per_image_as_written'] / 1e6:,.0f} MFLOP "
        f"as written, {ours['flops_per_image_done'] / 1e6:,.0f} in ours, each with the products of "
        "the padding, some of which ours leaves out",
        "computed: with the matrix products of our optimizer, "
        f"{ours['flops_per_step_of_optimizer'] / 1e9:,.1f} GFLOP a step",
    ]


def monitoring(result: dict[str, Any]) -> str:
    """The cost of the layer monitor."""
    taken = result["monitoring"]
    return (
        f"layer monitor, once an epoch of {taken['num_images']:,} images with validation: "
        f"{value_range(taken['seconds_with'], 2)} s with it, "
        f"{value_range(taken['seconds_without'], 2)} s without: "
        f"{taken['ratio']:.3f} times as long, which makes "
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
            significant(row["seconds_per_epoch"]),
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
            value_range(row["rounds"]),
            f"{row['relative']:.1%}",
            significant(row["seconds_per_epoch"]),
            repeated(row, available),
        )
    return [by_batch, by_data]


def grid(title: str, *headings: str) -> Table:
    """A table of numbers, with a last column for remarks."""
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
        f"compilation, {taken['warm_seconds']:,.1f} s with the compiled step in the cache"
    )


def value_range(values: Sequence[float], digits: int = 0) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def show_inference(result: dict[str, Any]) -> None:
    console = Console(width=max(Console().width, 120), highlight=False)
    given = result["conditions"]
    for line in (
        f"{given['processor']}, {given['threads']} threads, load of the machine before: "
        f"{given['load_average']:.1f}; PyTorch {given['torch']}, "
        f"onnxruntime {given['onnxruntime']}",
        f"images of {' x '.join(map(str, given['image_shape']))}; baseline: {given['baseline']}, "
        "as evaluate runs it, in inference mode",
        f"measured in turn, rounds: {given['rounds']}, each time in a fresh process: the median "
        f"call of {given['seconds']:g} s or more after {given['warm_up_calls']} of warm-up",
        "peak memory: resident, of the whole process, loading included",
    ):
        console.print(line, soft_wrap=True)
    for size, rows in result["batch_sizes"].items():
        console.print()
        console.print(latencies(int(size), rows))


def latencies(batch_size: int, rows: Sequence[dict[str, Any]]) -> Table:
    table = grid(
        "One image" if batch_size == 1 else f"{batch_size} images at a time",
        *("ms, median", "images/s", "times as fast", "lowest to highest"),
        *("file, MB", "peak memory, MiB"),
    )
    for row in rows:
        table.add_row(
            f"{1e3 * row['seconds']:,.2f}",
            f"{batch_size / row['seconds']:,.0f}",
            f"{row['ratio']:.2f}",
            value_range(row["ratios"], 2),
            f"{row['file_bytes'] / 1e6:,.1f}",
            f"{row['peak_bytes'] / MIB:,.0f}",
            row["backend"],
        )
    return table


def show_data(result: dict[str, Any]) -> None:
    console = Console(width=max(Console().width, 110), highlight=False)
    for line in (
        f"{result['conditions']['processor']}; each stage once, in a fresh process, its modules "
        "loaded before",
        "peer: a loop over torchvision's ImageFolder into arrays in memory, in one process; it "
        "reads the folder alone and copies nothing to disk; preprocess decodes in a process for "
        "each core",
        "CPU, memory: of all processes; memory without pages of files; limit: of each process",
    ):
        console.print(line, soft_wrap=True)
    console.print()
    table = grid(
        "Download and preprocess",
        *("images", "from", "pixels, MB", "s", "peer's", "CPU us/image", "peer's"),
        *("memory, MiB", "limit", "stage"),
    )
    for images in result["sets"]:
        for name, taken in images["stages"].items():
            if name != "peer" or images["form"] == "folder":
                table.add_row(*_usage_cells(images, name, taken))
    console.print(table)


def _usage_cells(images: dict[str, Any], name: str, taken: dict[str, Any]) -> list[str]:
    number, peer, limit = images["num_images"], images["stages"]["peer"], images["limit_bytes"]

    def times(key: str) -> str:
        return "" if name == "peer" else f"x {taken[key] / peer[key]:.2f}"

    return [
        f"{number:,}",
        images["form"],
        f"{images['pixel_bytes'] / 1e6:,.0f}",
        f"{taken['seconds']:,.1f}",
        times("seconds"),
        f"{1e6 * taken['cpu_seconds'] / number:,.0f}",
        times("cpu_seconds"),
        f"{taken['peak_bytes'] / MIB:,.0f}",
        f"{limit / MIB:,.0f}" if limit and name != "peer" else "",
        name,
    ]
