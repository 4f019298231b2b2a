"""The weights of a learned refiner: fitted to a run once, and reused until what they come from changes."""

from __future__ import annotations

import shutil

import torch
from safetensors.torch import save

from swtformer.backbones.base import Backbone
from swtformer.engine.checkpoint_files import newest_checkpoint
from swtformer.errors import CheckpointError, SettingsError
from swtformer.processes import launched_processes
from swtformer.progress import Progress
from swtformer.refiners import Examples, LearnedRefiner
from swtformer.segmentation import SegmentationNetwork
from swtformer.segmentation.pretrained import map_maker
from swtformer.settings import Settings, shaping
from swtformer.store.files import digest, sha256, write_with
from swtformer.store.models import WEIGHTS
from swtformer.store.notes import FitNotes, read_notes, write_notes
from swtformer.store.run import Run
from swtformer.store.weights import load_weights, read_weights


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
        SettingsError: the run's method has no features to learn from, fp16 is asked for on a CPU, or a fit is
            needed and several processes were launched.
    """
    backbone = _backbone(run)
    torch.manual_seed(settings.seed)
    refiner.build(backbone)
    file, note = run.refined_model(refiner.name), run.refined_fit_file(refiner.name)
    fit = FitNotes(fitted_from=_fingerprint(refiner, run, made_from, settings.seed))
    known = read_notes(note, FitNotes)
    if file.is_file() and known == fit.model_copy(update={"weights": sha256(file)}):
        load_weights(refiner.network, read_weights(file), source=file)
        return sha256(file)

    if (launched := launched_processes()) > 1:
        raise SettingsError(
            f"{type(refiner).__name__} is fitted by one process, but {launched} were launched. Run "
            "`swtformer refine` without torchrun or srun, or over Ray; once the refiner is fitted, launched "
            "processes divide the images."
        )

    from swtformer.training.refiner import fit_refiner

    folder = Run(note.parent)
    resumes = known == fit and _has_checkpoint(folder)
    if not resumes:
        shutil.rmtree(folder.path, ignore_errors=True)
        write_notes(note, fit)
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
    write_with(file, lambda stream: stream.write(payload))
    write_notes(note, fit.model_copy(update={"weights": sha256(file)}))
    shutil.rmtree(folder.checkpoints)
    return sha256(file)


def load_fitted(refiner: LearnedRefiner, *, run: Run) -> None:
    """Build a refiner's network with the weights that `fit_or_load` left."""
    refiner.build(_backbone(run))
    file = run.refined_model(refiner.name)
    load_weights(refiner.network, read_weights(file), source=file)


def _fingerprint(refiner: LearnedRefiner, run: Run, made_from: str, seed: int) -> str:
    """Equal for fits that end with equal weights; options of the walk afterwards do not count."""
    shapes = {name: tuple(value.shape) for name, value in refiner.network.state_dict().items()}
    options = shaping(refiner.options, "refiner", fit=True)
    return digest(refiner.name, options, seed, made_from, sha256(run.model / WEIGHTS), shapes)


def _backbone(run: Run) -> Backbone:
    model = map_maker(run)
    backbone = model.reusable_features()
    if backbone is None:
        name = model.settings.encoder if isinstance(model, SegmentationNetwork) else model.settings.method
        raise SettingsError(
            f"{run.path}: its model {name!r} has no features that a refiner could learn from; choose a "
            "refiner without training, such as refine.method par."
        )
    return backbone


def _has_checkpoint(folder: Run) -> bool:
    try:
        return newest_checkpoint(folder.checkpoints).is_file()
    except CheckpointError:  # there is none, or all are damaged
        return False
