"""predict: classify image files with an exported model."""

import json
from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="The model.onnx, or the folder it is in.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.", metavar="IMAGE...")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is in the images, with probabilities. Needs no PyTorch."""
    from alexnet.predict import Predictor

    predictor = Predictor(model)
    guesses = {path: predictor.classify(path, top) for path in images}
    if as_json:
        rows = [
            {"file": str(path), "predictions": [vars(guess) for guess in row]}
            for path, row in guesses.items()
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max(len(str(path)) for path in images)
    for path, row in guesses.items():
        named = "   ".join(f"{guess.label} {guess.probability:.1%}" for guess in row)
        print(f"{path!s:<{width}}   {named}")
