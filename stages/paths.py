"""The files of the stages, relative to the project's folder."""

from pathlib import Path
from typing import Annotated

import typer

PARAMS = Path("params.yaml")
ParamsFile = Annotated[
    Path, typer.Option("--params", help="The file of parameters.", show_default=True)
]
PRESETS = Path("presets")
LOCK = Path("train.lock")  # of what the stages need; requirements.lock has the tools too

RAW = Path("data/raw")
PROCESSED = Path("data/processed")

PREPROCESS_PARAMS = Path("reports/preprocess/params.json")

PRETRAINED = Path("models/pretrained.safetensors")  # none where nothing is started from
PRETRAINED_RECORD = Path("models/pretrained.json")

WEIGHTS = Path("models/weights.safetensors")
TRAIN_PARAMS = Path("reports/train/params.json")
WARM_START = Path("reports/train/warm_start.json")
HISTORY = Path("reports/train/history.csv")
LAYERS = Path("reports/train/layers.csv")
FILTERS = Path("reports/train/filters.safetensors")
LIVE_METRICS = Path("reports/train/live.json")  # after each epoch
TRAIN_METRICS = Path("reports/train/metrics.json")
EVENTS = Path("runs")

PROFILE = Path("reports/profile/layers.csv")
PROFILE_METRICS = Path("reports/profile/metrics.json")

EVALUATE_PARAMS = Path("reports/evaluate/params.json")
METRICS = Path("reports/evaluate/metrics.json")
PREDICTIONS = Path("reports/evaluate/predictions.csv")
GATE = Path("reports/gate.json")
SUMMARY = Path("reports/summary.json")  # of the figures that DVC compares

REPEAT = Path("reports/repeat.json")
SEED_RESULTS = Path("reports/repeat")  # of each seed, so that none is trained twice; no output

FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")

ARTIFACTS = Path("artifacts")
EXPORT_METRICS = Path("reports/export/metrics.json")
