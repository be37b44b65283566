"""The server under load: requests a second and their latency, and what a signal loses.

Clients are threads of this process, on the same machine, each with a connection that it keeps. One
after another (a single client) is compared with many at once, each request run alone
(`--max-batch 1`) or together with others, in alternating rounds. Then servers are stopped in the
middle of such load: every request has an answer, or its connection is refused.
"""

import http.client
import io
import json
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
import typer
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_sample_images

from alexnet.cli.app import run
from alexnet.files import write_json
from alexnet.inference import Predictor
from alexnet.progress import progress
from alexnet.serving.protocol import HEADER_LENGTH
from bench import report
from bench.measure import processor

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Ask:
    """A request that a client sends again and again."""

    name: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Load:
    """What some clients send to one of the servers, and the latencies of each round, in seconds."""

    name: str
    port: int
    ask: Ask
    num_clients: int
    rounds: list[list[float]] = field(default_factory=list)

    def rates(self, seconds: float) -> list[float]:
        """Requests a second in each round."""
        return [len(latencies) / seconds for latencies in self.rounds]

    def percentiles(self) -> list[float]:
        return [float(np.percentile(np.concatenate(self.rounds), each)) for each in PERCENTILES]


def bench(
    artifact: Annotated[Path, typer.Argument(help="An exported artifact.")] = Path("artifacts"),
    clients: Annotated[int, typer.Option(min=2, help="Clients at once.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of one measurement.")] = 5,
    stops: Annotated[int, typer.Option(min=0, help="Servers to stop under load.")] = 10,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON, too.")] = None,
) -> None:
    """Measure a server's requests a second and latency, and count what a stop loses."""
    asks = requests_for(Predictor(artifact))
    with serving(artifact) as (_, batched), serving(artifact, "--max-batch", "1") as (_, alone):
        loads = [
            load
            for ask in asks
            for load in (
                Load("one after another", alone, ask, 1),
                Load(f"{clients} at once, each run alone", alone, ask, clients),
                Load(f"{clients} at once, batched", batched, ask, clients),
            )
        ]
        with progress("load", rounds * len(loads)) as advance:
            for _ in range(rounds):
                for load in loads:
                    load.rounds.append(measure(load, seconds))
                    advance()
    stopped = [stop_under_load(artifact, asks[1], 2 * clients) for _ in range(stops)]
    show(loads, stopped, rounds, seconds)
    if json_file:
        rows = [
            {
                "load": load.name,
                "request": load.ask.name,
                "requests_per_second": load.rates(seconds),
                "percentiles": dict(zip(PERCENTILES, load.percentiles(), strict=True)),
            }
            for load in loads
        ]
        write_json(json_file, {"loads": rows, "stops": [dict(count) for count in stopped]})


def requests_for(predictor: Predictor) -> list[Ask]:
    """An image as the network takes it, in bytes; and a photograph of 640x427 pixels as JPEG."""
    photo, buffer = Image.fromarray(load_sample_images().images[0]), io.BytesIO()
    photo.save(buffer, "JPEG", quality=90)
    pixels = predictor.prepare(photo)
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *pixels.shape],
        "parameters": {"binary_data_size": pixels.size},
    }
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    text = json.dumps(asked).encode()
    headers = {HEADER_LENGTH: str(len(text))}
    return [
        Ask("tensor", "/v2/models/alexnet/infer", text + pixels.tobytes(), headers),
        Ask("JPEG, 640x427", "/predict", buffer.getvalue()),
    ]


@contextmanager
def serving(artifact: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """(process, port) of a server, which ends with the block."""
    command = [sys.executable, "-m", "alexnet.cli.main", "serve", str(artifact), "--port=0"]
    limits = ["--max-requests=1000"]
    with subprocess.Popen(
        [*command, *limits, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = ""
        while not (found := re.search(r" on http://127\.0\.0\.1:(\d+)\n$", output)):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(output)
            output += line
        reader = threading.Thread(target=process.stdout.read)  # else its pipe would fill
        reader.start()
        try:
            yield process, int(found[1])
        finally:
            process.terminate()
            process.wait()
            reader.join()


def measure(load: Load, seconds: float) -> list[float]:
    """The latencies of the requests that were answered in `seconds`."""
    end = time.perf_counter() + seconds

    def client(_: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=60)
        latencies = []
        while (start := time.perf_counter()) < end:
            status = send(connection, load.ask)
            if status != 200:
                raise RuntimeError(f"{load.ask.path} was answered with {status}")
            latencies.append(time.perf_counter() - start)
        connection.close()
        return latencies

    with ThreadPoolExecutor(load.num_clients) as pool:
        return [each for found in pool.map(client, range(load.num_clients)) for each in found]


def send(connection: http.client.HTTPConnection, ask: Ask) -> int:
    """The status of the answer, once all of it is there."""
    connection.request("POST", ask.path, ask.body, ask.headers)
    response = connection.getresponse()
    response.read()
    return response.status


def stop_under_load(artifact: Path, ask: Ask, num_clients: int, seconds: float = 2) -> Counter[str]:
    """How the requests of all clients ended whose server got SIGTERM after `seconds`.

    Half of the clients keep their connection, the others make one for each request. Each goes on
    until it is refused.
    """
    ends: Counter[str] = Counter()

    def client(keeps: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            try:
                if connection.sock is None:
                    connection.connect()
                ends[str(send(connection, ask))] += 1
            except ConnectionRefusedError:
                ends["refused"] += 1
                return
            except (OSError, http.client.HTTPException) as error:
                ends[f"broken: {type(error).__name__}"] += 1
                connection.close()
            if not keeps:
                connection.close()

    with serving(artifact) as (process, port), ThreadPoolExecutor(num_clients) as pool:
        done = [pool.submit(client, index % 2 == 0) for index in range(num_clients)]
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
        for each in done:
            each.result()
        assert process.wait() == 0
    return ends


def show(loads: list[Load], stopped: list[Counter[str]], rounds: int, seconds: float) -> None:
    console = Console(width=max(Console().width, 110), highlight=False)
    console.print(
        f"{processor()}, clients included; onnxruntime {onnxruntime.__version__}; in turn, rounds: "
        f"{rounds}, of {seconds:g} s each",
        soft_wrap=True,
    )
    for name in dict.fromkeys(load.ask.name for load in loads):
        table = report.grid(
            f"Requests of one image: {name}",
            *("requests/s", "lowest to highest", "of the first"),
            *(f"p{each}, ms" for each in PERCENTILES),
        )
        rows = [load for load in loads if load.ask.name == name]
        first = rows[0].rates(seconds)
        for load in rows:
            rates = load.rates(seconds)
            ratios = [rate / base for rate, base in zip(rates, first, strict=True)]
            table.add_row(
                f"{statistics.median(rates):,.0f}",
                report.value_range(rates),
                f"x {statistics.median(ratios):.2f}",
                *(f"{1e3 * latency:.1f}" for latency in load.percentiles()),
                load.name,
            )
        console.print()
        console.print(table)
    if stopped:
        total: Counter[str] = sum(stopped, Counter())
        listed = ", ".join(f"{key}: {number:,}" for key, number in sorted(total.items()))
        console.print(f"\nservers stopped under load: {len(stopped)}; requests by end: {listed}")


if __name__ == "__main__":
    run(bench)
