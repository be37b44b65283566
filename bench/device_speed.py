"""How fast is the GPU? Kernels, whole runs and growth by batch size, for `bench.device`."""

import dataclasses
import hashlib
import multiprocessing
import os
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from alexnet.evaluation.timer import DeviceTimer
from alexnet.files import sha256
from alexnet.network.weights import save_weights
from alexnet.training.cuda_graph import NUM_WARM_UP
from alexnet.training.loader import Split
from alexnet.training.trainer import StepFn
from bench.costs import (
    Cost,
    network_flops,
    optimizer_flops,
    product_peak,
    trains_collapsed,
)
from bench.device_setup import Bench, Setup, gpu_state, process_age, rows_of
from bench.loops import Speed, Workload, first_images, measure
from bench.measure import Budget, now, peak_memory
from bench.parts import Recorder

NUM_KERNELS = 40
NUM_TIMED_EPOCHS = 3
# The default and its next multiples first, then the extremes.
BATCH_SIZES = (512, 1024, 2048, 8192, 128, 4096, 256)
REHEARSED_SIZES = (512,)
COMPILE_THREADS = 4  # of each of the processes that compile at the same time


def kernels(setup: Setup, recorder: Recorder) -> None:
    """A step on the host and on the device, and the kernels that take longest."""
    bench = Bench(setup)
    host: list[float] = []

    def timed(step_fn: StepFn) -> StepFn:
        def step(batch: Any) -> None:
            start = time.perf_counter()
            step_fn(batch)
            host.append(time.perf_counter() - start)

        return step

    first_timed = NUM_WARM_UP + 1
    run = bench.trainer(epochs=first_timed + NUM_TIMED_EPOCHS + 1, options={"wrap_step": timed})
    steps = run.steps_per_epoch
    with run.autosave:
        for epoch in range(first_timed):
            run.train_epoch(epoch)
        host.clear()
        timer, start = DeviceTimer(bench.device), now(bench.device)
        timer.mark()
        for epoch in range(first_timed, first_timed + NUM_TIMED_EPOCHS):
            run.train_epoch(epoch)
            timer.mark()
        wall = now(bench.device) - start
        epochs = timer.seconds()
        recorder.add(
            steps_per_epoch=steps,
            ms_a_step_on_device=1e3 * min(epochs) / steps,
            ms_a_step_on_host=1e3 * statistics.median(host),
            ms_a_step_by_the_clock=1e3 * wall / NUM_TIMED_EPOCHS / steps,
            epoch_seconds=epochs,
        )
        assert run.graphs is not None
        graph = run.graphs.graphs[run.params.batch_size, False]
        timer.mark()
        for _ in range(steps):
            graph.replay()
        timer.mark()
        recorder.add(ms_of_replay_alone=1e3 * timer.seconds()[0] / steps)
        # Last: attached to a process that has captured graphs, a profiler has been seen to crash.
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            run.train_epoch(first_timed + NUM_TIMED_EPOCHS)
            torch.cuda.synchronize()
    rows = [
        {
            "name": event.key[:100],
            "calls_a_step": event.count / steps,
            "us_a_step": event.self_device_time_total / steps,
        }
        for event in profiled.key_averages()
        if event.device_type == torch.autograd.DeviceType.CUDA  # not the calls on the host
    ]
    rows.sort(key=lambda row: -row["us_a_step"])
    recorder.add(
        kernels=rows[:NUM_KERNELS],
        kernels_a_step=sum(row["calls_a_step"] for row in rows),
        us_of_kernels_a_step=sum(row["us_a_step"] for row in rows),
    )


def cold_run(setup: Setup, recorder: Recorder) -> None:
    """A whole training that compiles its step."""
    if not setup.is_rehearsal:  # which has compiled for minutes
        shutil.rmtree(setup.compiled, ignore_errors=True)
    weights_of_whole_run(setup).unlink(missing_ok=True)
    whole_run(setup, recorder)


def whole_run(setup: Setup, recorder: Recorder) -> None:
    """A whole training in a process of its own: its seconds, memory and share of the peak."""
    bench = Bench(setup)
    epochs = setup.epochs(bench.params.train.epochs)
    start = now(bench.device)
    run = bench.trainer(epochs=epochs)
    seconds: list[float] = []
    before = start

    def on_epoch(row: Any, took: float) -> None:
        nonlocal before
        seconds.append(time.perf_counter() - before)  # validation included
        before = time.perf_counter()
        recorder.add(epochs=len(seconds), val_accuracy=row.val_accuracy)

    run.fit(on_epoch)
    total = now(bench.device) - start
    images_per_second = len(bench.train) / statistics.median(seconds)
    weights = weights_of_whole_run(setup)
    before_sha256 = sha256(weights) if weights.exists() else None
    save_weights(weights, run.model, run.metadata)
    recorder.add(
        seconds=total,
        seconds_with_imports=process_age(),
        epoch_seconds=seconds,
        images_per_second=images_per_second,
        peak_bytes=peak_memory(bench.device),
        reserved_bytes=torch.cuda.max_memory_reserved(bench.device),
        weights_sha256=sha256(weights),
        history=rows_of(run.state.rows),
    )
    if before_sha256:
        same = sha256(weights) == before_sha256
        name = "the same weights as the last whole run of these parameters"
        recorder.check(name, same, before_sha256)
    del run
    cost = cost_of(bench)
    recorder.add(gpu=gpu_state())  # just after a large product: its clocks under load
    recorder.add(cost=cost.at(images_per_second, bench.params.train.batch_size))


def weights_of_whole_run(setup: Setup) -> Path:
    """Where the last whole run of these parameters left its weights."""
    parameters = f"{setup.params.model} {setup.params.train}"
    digest = hashlib.sha256(parameters.encode()).hexdigest()
    return setup.work / f"whole_run_{digest[:12]}.safetensors"


def cost_of(bench: Bench) -> Cost:
    """The operations of our loop, and the device's peak, measured in this process."""
    params, dtype = bench.params.train, bench.device_config.dtype
    collapses = trains_collapsed(bench.metadata, params)
    return Cost(
        precision=str(dtype).removeprefix("torch."),
        flops_per_image_as_written=network_flops(bench.metadata, collapsed=False),
        flops_per_image_done=network_flops(bench.metadata, collapses),
        flops_per_step_of_optimizer=optimizer_flops(bench.metadata, params, dtype),
        peak_flops_per_second=product_peak(bench.device, dtype),
    )


def sizes(setup: Setup) -> tuple[int, ...]:
    return REHEARSED_SIZES if setup.is_rehearsal else BATCH_SIZES


def compile_sizes(setup: Setup, recorder: Recorder) -> None:
    """Compile the step for each batch size, all at the same time: growth finds it."""
    context = multiprocessing.get_context("spawn")
    start = time.monotonic()
    with ProcessPoolExecutor(len(sizes(setup)), mp_context=context) as pool:
        started = {size: pool.submit(compile_size, setup, size) for size in sizes(setup)}
        done = {}
        for size, future in started.items():
            try:
                future.result()
                done[size] = time.monotonic() - start
            except Exception as error:
                recorder.check(f"batch size {size} compiles", False, repr(error)[:300])
            recorder.add(seconds_until_compiled=done)


def compile_size(setup: Setup, batch_size: int) -> None:
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = str(COMPILE_THREADS)
    bench = Bench(setup)
    run = bench.trainer(batch_size=batch_size, train=images_for(bench, batch_size))
    run.step_fn(next(iter(run.loader.epoch(run.plan(0)))))
    torch.cuda.synchronize()


def images_for(bench: Bench, batch_size: int) -> Split:
    return first_images(bench.train, max(len(bench.train), batch_size))


def growth(setup: Setup, recorder: Recorder) -> None:
    """Images a second and peak memory by batch size, one after the other."""
    rows: list[dict[str, Any]] = []
    bench = Bench(setup)
    budget = Budget(0.5, steps=3 if setup.is_rehearsal else None)
    took = 0.0
    for size in sizes(setup):
        if recorder.seconds_left() < 1.5 * took:
            break
        start = time.monotonic()
        bench.free()
        torch.cuda.reset_peak_memory_stats()
        context = bench.context(budget, epochs=50)
        speed = measure(context, Workload("ours", size, max(size, len(bench.train))))
        rows.append(row_of(size, speed))
        rows.sort(key=lambda row: row["batch_size"])
        recorder.add(rows=rows)
        took = time.monotonic() - start


def row_of(batch_size: int, speed: Speed) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "images_per_second": speed.images_per_second,
        "ms_a_step_on_device": 1e3 * speed.device_seconds / speed.steps,
        "ms_a_step_on_host": 1e3 * speed.host_seconds / speed.steps,
        **dataclasses.asdict(speed),
    }
