"""The weights of a learned refiner: fitted to a run once, and reused while what they came from is the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from swtformer.backbones.base import Backbone
from swtformer.engine.checkpoint_files import newest_checkpoint
from swtformer.errors import SettingsError, SwtformerError
from swtformer.methods.pretrained import from_pretrained, load_weights, read_weights
from swtformer.progress import Progress
from swtformer.refiners import Examples, LearnedRefiner
from swtformer.settings import Settings, shaping
from swtformer.store.files import digest, read_json, sha256, write_json, write_with
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run


def fit_or_load(
    refiner: LearnedRefiner,
    examples: Examples,
    *,
    run: Run,
    made_from: str,
    settings: Settings,
    progress: Progress,
) -> str:
    """Build a refiner's network and give it weights that are fitted to the run.

    A fit that was stopped resumes, while what it comes from is the same.

    Args:
        refiner: gets its network.
        examples: the run's images and maps.
        run: holds the trained model and the fitted weights.
        made_from: fingerprint of the examples.
        settings: the seed, and how many processes read.
        progress: called after every step of a fit.

    Returns:
        Fingerprint of the weights.

    Raises:
        CheckpointError: the run's model is missing or damaged.
        DataError: no image can be read together with its maps.
        NonFiniteError: a loss or weight is not finite.
        SettingsError: the run's method has no features to learn from, or its fit is asked for in fp16 on a
            CPU.
    """
    backbone = _backbone(run)
    torch.manual_seed(settings.seed)
    refiner.build(backbone)
    file, note = run.refined_model(refiner.name), run.refined_fit_file(refiner.name)
    fit = {"fitted_from": _fingerprint(refiner, run, made_from, settings.seed)}
    if file.is_file() and _read(note) == {**fit, "weights": sha256(file)}:
        load_weights(refiner.network, read_weights(file), source=file)
    else:
        _fit(refiner, examples, run=run, fit=fit, settings=settings, progress=progress)
    return sha256(file)


def _fit(
    refiner: LearnedRefiner,
    examples: Examples,
    *,
    run: Run,
    fit: dict[str, str],
    settings: Settings,
    progress: Progress,
) -> None:
    """Fit, and write the weights and the note of what they came from."""
    from swtformer.training.refiner import fit_refiner

    folder, note = Run(run.refined_fit(refiner.name)), run.refined_fit_file(refiner.name)
    resumes = _read(note) == fit and _has_checkpoint(folder)
    if not resumes:
        shutil.rmtree(folder.path, ignore_errors=True)
        write_json(note, fit)
    fit_refiner(
        refiner,
        examples,
        folder=folder.path,
        seed=settings.seed,
        workers=settings.refine.workers,
        resume=resumes,
        progress=progress,
    )
    payload = save({name: value.cpu().contiguous() for name, value in refiner.network.state_dict().items()})
    file = run.refined_model(refiner.name)
    write_with(file, lambda stream: stream.write(payload))
    write_json(note, {**fit, "weights": sha256(file)})
    shutil.rmtree(folder.checkpoints)


def _fingerprint(refiner: LearnedRefiner, run: Run, made_from: str, seed: int) -> str:
    """Equal for fits that end with equal weights; options of the walk afterwards do not count."""
    shapes = {name: tuple(value.shape) for name, value in refiner.network.state_dict().items()}
    options = shaping(refiner.options, "refiner", fit=True)
    return digest(refiner.name, options, seed, made_from, sha256(run.model / WEIGHTS), shapes)


def _backbone(run: Run) -> Backbone:
    model = from_pretrained(run.path)
    backbone = model.reusable_features()
    if backbone is None:
        raise SettingsError(
            f"{run.path}: the method {model.settings.method!r} has no features that a refiner could learn "
            "from; choose a refiner without training, such as --refine.method par."
        )
    return backbone


def _read(note: Path) -> Any:
    """What a note says; None where it is missing or damaged."""
    try:
        return read_json(note)
    except SwtformerError:
        return None


def _has_checkpoint(folder: Run) -> bool:
    try:
        return newest_checkpoint(folder.checkpoints).is_file()
    except SwtformerError:  # there is none, or all are damaged
        return False
