"""repeat: the same training from further seeds or from nothing, and the accuracy of all."""

import gc
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet import config
from alexnet.evaluation.repeats import Repeats, SeedResult, TrainingResult, seed_result
from alexnet.evaluation.results import read_metrics
from alexnet.files import read_record, sha256, write_json
from alexnet.training.history import Epoch
from stages import paths
from stages.command import run
from stages.evaluate import measure
from stages.params import load, require_recorded
from stages.paths import PARAMS, ParamsFile
from stages.train import run_distributed, run_key, trained

if TYPE_CHECKING:
    from alexnet.training.device import DeviceConfig
    from alexnet.training.distributed import DistributedContext

logger = logging.getLogger("stages.repeat")


def repeat(params: ParamsFile = PARAMS) -> None:
    """Train from further seeds; write the accuracy of all runs, its mean and its deviation."""
    values = load(params)
    require_recorded(values)
    last_epoch = read_record(paths.TRAIN_METRICS, Epoch, "run the stage train again")
    first = seed_result(values.train.seed, last_epoch, read_metrics(paths.METRICS).as_dict())
    if values.repeat.seeds or values.repeat.from_nothing:
        run_distributed("repeat", params, values, partial(_repeat, first))
    else:
        _write([first])


def _repeat(
    first: SeedResult,
    values: config.Params,
    device_config: "DeviceConfig",
    distributed: "DistributedContext",
) -> None:
    """This process's part; the main process measures and writes."""
    results = [first]
    for number, seed in enumerate(values.repeat.seeds, 1):
        if distributed.is_main_process:
            logger.info(f"seed {seed}, number {number} of {len(values.repeat.seeds)}")
        train = values.train.model_copy(update={"seed": seed})
        of_seed = values.model_copy(update={"train": train})
        if training := _train(of_seed, device_config, distributed):
            results.append(training.result)
    from_nothing = None
    if values.repeat.from_nothing:
        if distributed.is_main_process:
            logger.info("without model.start_from")
        from_nothing = _train(_without_parent(values), device_config, distributed)
    if distributed.is_main_process:
        _write(results, from_nothing)


def _without_parent(values: config.Params) -> config.Params:
    """The same recipe without the weights to start from."""
    model = values.model.model_copy(update={"start_from": None, "start_source": None})
    train = values.train.model_copy(update={"freeze": "none", "pretrained_lr_scale": 1.0})
    return values.model_copy(update={"model": model, "train": train})


def _train(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> TrainingResult | None:
    """The training of train.seed, stored or done now; None in all processes but the main one."""
    from alexnet.network.weights import save_weights
    from alexnet.training.device import configure_torch

    path = None
    if distributed.is_main_process:
        path = _stored_result(values, device_config, distributed)
    (is_stored,) = distributed.all_reduce_max(bool(path and path.exists()))
    if not is_stored:
        gc.collect()  # the trainer of the seed before, whose parts refer to each other
        configure_torch(values.train.deterministic)  # measuring has other settings
        if device_config.compiles:
            import torch

            # A function is compiled for a few networks at most; the next would run as written.
            torch.compiler.reset()
        training = trained(values, device_config, distributed, [paths.SEED_RESULTS])
        with training as (trainer, checkpoints):
            if path and checkpoints:
                weights = path.with_suffix(".safetensors")
                try:
                    save_weights(weights, trainer.model, trainer.metadata)
                    metrics, *_ = measure(weights, values.evaluate)
                finally:
                    weights.unlink(missing_ok=True)
                rows = tuple(trainer.state.rows)
                result = seed_result(values.train.seed, rows[-1], metrics)
                write_json(path, TrainingResult(result, rows).as_dict())
                checkpoints.remove()
    if not path:
        return None
    found = read_record(path, TrainingResult, "remove the file, and run the stage repeat again")
    result, stored = found.result, " (stored)" if is_stored else ""
    start = "" if values.model.start_from or not values.repeat.from_nothing else ", from nothing"
    logger.info(f"seed {result.seed}{start}: {_accuracies(result)}{stored}")
    return found


def _stored_result(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> Path:
    """Where the result of a run is stored: the name is a digest of all that decides it."""
    from alexnet.training.checkpoint_store import file_digests, folder_name
    from alexnet.training.device import describe_device, resolve_device

    library = Path(config.__file__).parent
    key = {
        "training": run_key(values, device_config, distributed),
        "test": sha256(paths.PROCESSED / "test.safetensors"),
        "evaluate": values.evaluate.model_dump(exclude={"calibration_bins"}),
        "code": file_digests(list((library / "evaluation").rglob("*.py")), library),
        "device": describe_device(resolve_device(values.evaluate.device)),
    }
    return paths.SEED_RESULTS / f"{folder_name(key)}.json"


def _write(results: list[SeedResult], from_nothing: TrainingResult | None = None) -> None:
    repeats = Repeats(tuple(results), from_nothing)
    write_json(paths.REPEAT, repeats.as_dict())
    accuracy, std = repeats.mean("test_accuracy"), repeats.std("test_accuracy")
    if std is None:
        logger.info("one seed; repeat.seeds names further ones")
    else:
        logger.info(f"{len(results)} seeds: test accuracy {accuracy:.2%} ± {std:.2%}")
    if from_nothing:
        theirs, ours = from_nothing.result.test_accuracy, results[0].test_accuracy
        logger.info(f"test accuracy {ours:.2%}, without model.start_from {theirs:.2%}")


def _accuracies(result: SeedResult) -> str:
    return f"accuracy {result.val_accuracy:.2%} in validation, {result.test_accuracy:.2%} in test"


if __name__ == "__main__":
    run(repeat, when_stopped="before the next training")
