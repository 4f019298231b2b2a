"""Train, map and score SWTformer on a part of PASCAL VOC, and write benchmarks/voc-subset.md from it.

    python benchmarks/voc_subset.py run --data VOC_SUBSET --weights WEIGHTS --out runs/voc-subset [NAME ...]
    python benchmarks/voc_subset.py table --out runs/voc-subset > benchmarks/voc-subset.md

`run` makes what is missing and may be stopped and called again; NAMEs choose experiments.
Ground-truth masks are read by the scoring alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch

from swtformer.datasets import open_dataset
from swtformer.errors import SettingsError, SwtformerError
from swtformer.machine import machine_line
from swtformer.methods import create_model
from swtformer.methods.pretrained import save_pretrained
from swtformer.precision import pick_device, pick_precision
from swtformer.settings import Settings, merge, validate
from swtformer.stages.evaluate import evaluate
from swtformer.stages.localize import localize
from swtformer.stages.train import train
from swtformer.store.files import read_json, write_json
from swtformer.store.models import WEIGHTS
from swtformer.store.run import Run
from swtformer.store.weights import load_weights, read_weights

CLASSES = ["cat", "cow", "dog", "horse", "sheep", "person"]
SINGLE, MULTI = [1.0], [0.5, 1.0, 1.5, 2.0]


@dataclass(frozen=True)
class Experiment:
    """One training (or none) and the maps that are made with it."""

    name: str
    note: str
    settings: dict[str, Any]
    seeds: tuple[int, ...] = (0,)
    scales: tuple[tuple[float, ...], ...] = (tuple(SINGLE),)
    starts_from_v1: bool = True
    trains: bool = True
    localize: dict[str, Any] = field(default_factory=dict)
    maps_of: str | None = None
    v1: str = "v1"


V1_TRAINING = {"epochs": 5, "learning_rate": 1e-4, "augmentation": "advcam_scaled"}
V2_TRAINING = {"epochs": 1, "learning_rate": 1e-5, "augmentation": "advcam_scaled", "freeze_stages": 4}
PRINTED = {"detach": "none", "ccl_reading": "literal", "gsc_over": "all"}
UNFROZEN = {"learning_rate": 3e-5, "freeze_stages": 0}
UNFROZEN_FUSION = {"fusion_multiplier": 3.3}
ALL_SCALES = (tuple(SINGLE), tuple(MULTI))
BOTH_SEEDS = (0, 1)
ONE_SEED = (0,)


def _loss(name: str, note: str, seeds: tuple[int, ...] = ONE_SEED, **method: Any) -> Experiment:
    """V2 trained from V1, with another reading of the losses or of the fusion."""
    return Experiment(name, note, {"method": method}, seeds)


def _unfrozen(name: str, note: str, **method: Any) -> Experiment:
    """As `_loss`, with a backbone that is trained as well."""
    return Experiment(name, note, {"method": {**method, **UNFROZEN_FUSION}, "train": UNFROZEN})


def _reading(name: str, note: str, **method: Any) -> Experiment:
    """A reading that needs no training: V1's weights beside an untrained fusion."""
    return Experiment(name, note, {"method": method}, trains=False)


EXPERIMENTS = [
    Experiment("v1", "V1, CLS alone", {}, BOTH_SEEDS, scales=(), starts_from_v1=False),
    Experiment("untrained", "V1's CAM; fusion never trained", {}, BOTH_SEEDS, ALL_SCALES, trains=False),
    Experiment("v2", "CLS + GSC + CCL, V2's defaults", {}, BOTH_SEEDS, ALL_SCALES),
    _loss("gsc-only", "CLS + GSC", BOTH_SEEDS, ccl_reading="off"),
    _loss("ccl-only", "CLS + CCL", BOTH_SEEDS, gsc=0),
    _loss("ccl-per-class", "CCL `per_class`", BOTH_SEEDS, ccl_reading="per_class"),
    _loss("ccl-literal", "CCL `literal`", BOTH_SEEDS, ccl_reading="literal"),
    _loss("gsc-all", "GSC over all channels", BOTH_SEEDS, gsc_over="all"),
    _unfrozen("detach-none", "nothing detached", detach="none"),
    _unfrozen("detach-refined", "R-CAM detached", detach="rcam"),
    _unfrozen("as-printed", "literal CCL, GSC over all, nothing detached", **PRINTED),
    Experiment("hff-single", "HFF `single`", {"method": {"hff": "single"}}, BOTH_SEEDS, ALL_SCALES),
    Experiment(
        "untrained-hff-single",
        "as `untrained`, HFF `single`",
        {"method": {"hff": "single"}},
        BOTH_SEEDS,
        ALL_SCALES,
        trains=False,
    ),
    _loss("hff-coarse", "HFF `pair_coarse`", hff="pair_coarse"),
    _reading("background-0.7", "as `untrained`, background weight 0.7", background_weight=0.7),
    _reading("background-1", "as `untrained`, background weight 1", background_weight=1.0),
    _reading("background-over-all", "as `untrained`, background over all classes", background_over="all"),
    _reading("affinity-relu", "as `untrained`, affinity `relu`", affinity="relu"),
    _reading("seedless-none", "as `untrained`, no seed for a class that wins none", seedless="none"),
    Experiment(
        "seeds-view",
        "`v2`, seeds from each view's own CAM",
        {},
        scales=ALL_SCALES,
        localize={"seeds": "view"},
        maps_of="v2",
    ),
    Experiment(
        "kernel-3-v1", "V1 with a 3×3 head", {"method": {"kernel": 3}}, scales=(), starts_from_v1=False
    ),
    Experiment(
        "kernel-3-untrained",
        "kernel 3, fusion never trained",
        {"method": {"kernel": 3}},
        scales=ALL_SCALES,
        trains=False,
        v1="kernel-3-v1",
    ),
    Experiment(
        "kernel-3-v2",
        "kernel 3, CLS + GSC + CCL",
        {"method": {"kernel": 3}},
        scales=ALL_SCALES,
        v1="kernel-3-v1",
    ),
    Experiment(
        "kernel-3-0.7-untrained",
        "kernel 3, background weight 0.7, fusion never trained",
        {"method": {"kernel": 3, "background_weight": 0.7}},
        scales=ALL_SCALES,
        trains=False,
        v1="kernel-3-v1",
    ),
    Experiment(
        "kernel-3-0.7-v2",
        "kernel 3, background weight 0.7, CLS + GSC + CCL",
        {"method": {"kernel": 3, "background_weight": 0.7}},
        scales=ALL_SCALES,
        v1="kernel-3-v1",
    ),
]


def settings_of(experiment: Experiment, seed: int, weights: Path) -> Settings:
    """All settings of one training, or of the maps that are made without one."""
    method = "swtformer_v2" if experiment.starts_from_v1 else "swtformer_v1"
    base = {
        "seed": seed,
        "data": {"validation_fraction": 0},
        "model": {"method": method, "backbone": "mobilenetv2_100", "weights": str(weights)},
        "train": {"workers": 1, **(V2_TRAINING if experiment.starts_from_v1 else V1_TRAINING)},
        "localize": {"long_side_px": None, **experiment.localize},
        "evaluate": {"score_classes": CLASSES},
    }
    return validate(Settings, merge(base, experiment.settings), where=experiment.name)


def _note(stage: str, done: int, total: int, note: str = "") -> None:
    if done == total or done % 100 == 0:
        print(f"  {stage} {done}/{total} {note}", file=sys.stderr, flush=True)


def _prepare(experiment: Experiment, seed: int, out: Path, data: Path, weights: Path) -> Run:
    """Train one experiment, or put V1's weights beside an untrained fusion."""
    run = Run(out / f"{experiment.maps_of or experiment.name}-seed{seed}")
    if (run.model / WEIGHTS).is_file():
        return run
    settings = settings_of(experiment, seed, weights)
    first = Run(out / f"{experiment.v1}-seed{seed}")
    training = open_dataset(data, settings.data, split="trainaug")
    if not experiment.trains:
        torch.manual_seed(seed)
        options = settings.model.model_copy(update={"weights": "none"})
        model = create_model(options, training.classes, settings.method)
        load_weights(model, read_weights(first.model / WEIGHTS), source=first.model, partly=True)
        run.write_settings(settings)
        write_json(run.classes_file, list(training.classes))
        save_pretrained(model, run.model)
        return run
    if experiment.starts_from_v1:
        settings = validate(
            Settings,
            merge(settings.model_dump(mode="json"), {"train": {"start_from": str(first.path)}}),
            where=experiment.name,
        )
    resume = run.settings_file.is_file()
    return train(training, settings=settings, out=run.path, resume=resume, progress=_note)


def run_all(arguments: argparse.Namespace) -> None:
    """Make every chosen experiment's model, maps and scores."""
    if unknown := set(arguments.names) - {experiment.name for experiment in EXPERIMENTS}:
        known = ", ".join(experiment.name for experiment in EXPERIMENTS)
        raise SettingsError(f"No experiment is called {min(unknown)!r}; there are {known}.")
    chosen = [
        (experiment, seed)
        for experiment in EXPERIMENTS
        if not arguments.names or experiment.name in arguments.names
        for seed in experiment.seeds
        if not arguments.seeds or seed in arguments.seeds
    ]
    _require_v1(chosen, arguments.out)
    for experiment, seed in chosen:
        started = time.monotonic()
        run = _prepare(experiment, seed, arguments.out, arguments.data, arguments.weights)
        trained = time.monotonic() - started
        for scales in experiment.scales:
            result = arguments.out / "results" / f"{experiment.name}-seed{seed}-{len(scales)}scales.json"
            if result.is_file():
                continue
            settings = validate(
                Settings,
                merge(
                    settings_of(experiment, seed, arguments.weights).model_dump(mode="json"),
                    {"localize": {"scales": list(scales)}},
                ),
                where=experiment.name,
            )
            scored = open_dataset(arguments.data, settings.data, split="train")
            started = time.monotonic()
            localize(run, scored, settings=settings, progress=_note)
            mapped = time.monotonic() - started
            evaluate(run, scored, settings=settings.evaluate)
            options = settings.localize
            write_json(
                result,
                {
                    "name": experiment.name,
                    "note": experiment.note,
                    "seed": seed,
                    "train_seconds": trained,
                    "map_seconds_per_image": mapped / len(scored),
                    "scores": read_json(run.scores_file),
                    "date": date.today().isoformat(),
                    "machine": machine_line(
                        threads=torch.get_num_threads(),
                        torch_version=torch.__version__,
                        precision=pick_precision(options.precision, pick_device(options.accelerator)),
                    ),
                },
            )
            print(f"{result.stem}: {_line(read_json(result))}", flush=True)


def _require_v1(chosen: list[tuple[Experiment, int]], out: Path) -> None:
    """Refuse to begin where a V1 that others start from is neither there nor chosen."""
    made = {(experiment.name, seed) for experiment, seed in chosen if not experiment.starts_from_v1}
    missing = sorted(
        {
            (experiment.v1, seed)
            for experiment, seed in chosen
            if experiment.starts_from_v1
            and (experiment.v1, seed) not in made
            and not (out / f"{experiment.v1}-seed{seed}" / "model" / WEIGHTS).is_file()
            and not (
                out / f"{experiment.maps_of or experiment.name}-seed{seed}" / "model" / WEIGHTS
            ).is_file()
        }
    )
    if missing:
        name, seed = missing[0]
        raise SettingsError(
            f"{out} holds no finished {name} of seed {seed}, which {len(missing)} of the chosen experiments "
            f"start from. First: python benchmarks/voc_subset.py run {name} --data … --weights … --out {out} "
            f"--seeds {seed}"
        )


def _score(result: dict[str, Any], source: str, policy: str) -> float | None:
    for row in result["scores"]["segmentation"]:
        if row["source"] == source and row["policy"] == policy:
            return 100 * row["miou"]
    return None


def _line(result: dict[str, Any]) -> str:
    cells = [
        ("CAM oracle", "cam", "oracle"),
        ("CAM label-free", "cam", "label_free"),
        ("R-CAM argmax", "rcam", "argmax"),
    ]
    return ", ".join(
        f"{title} {value:.2f}"
        for title, source, policy in cells
        if (value := _score(result, source, policy)) is not None
    )


def table(arguments: argparse.Namespace) -> None:
    """Print the Markdown page of all results."""
    results = [json.loads(path.read_text()) for path in sorted((arguments.out / "results").glob("*.json"))]
    if not results:
        raise SettingsError(
            f"{arguments.out} holds no results yet. First: python benchmarks/voc_subset.py run … --out "
            f"{arguments.out}"
        )
    template = (Path(__file__).parent / "voc_subset.md.in").read_text()
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["name"], len(result["scores"]["scales"])), []).append(result)
    rows = [
        "| experiment | scales | seeds | CAM 0.15 | CAM label-free | CAM oracle* | R-CAM argmax "
        "| mAP class / image |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for experiment in EXPERIMENTS:
        for scales in experiment.scales:
            found = groups.get((experiment.name, len(scales)))
            if found:
                rows.append(_row(experiment, len(scales), found))
    print(
        template.format(
            table="\n".join(rows),
            machine="; ".join(sorted({result["machine"] for result in results})),
            date=max(result["date"] for result in results),
            images=", ".join(sorted({str(result["scores"]["images"]) for result in results})),
        ),
        end="",
    )


def _row(experiment: Experiment, scales: int, results: list[dict[str, Any]]) -> str:
    def cell(source: str, policy: str) -> str:
        values = [value for result in results if (value := _score(result, source, policy)) is not None]
        if not values:
            return "–"
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.2f}{spread}"

    precisions = [
        statistics.mean(100 * result["scores"]["classification"][key] for result in results)
        for key in ("map_per_class", "map_per_image")
    ]
    cells = [
        f"`{experiment.name}` {experiment.note}",
        str(scales),
        ", ".join(str(result["seed"]) for result in results),
        cell("cam", "fixed"),
        cell("cam", "label_free"),
        cell("cam", "oracle"),
        cell("rcam", "argmax"),
        f"{precisions[0]:.1f} / {precisions[1]:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--data", type=Path, required=True)
    running.add_argument("--weights", type=Path, required=True)
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--threads", type=int, default=torch.get_num_threads())
    running.add_argument("--seeds", type=int, nargs="*")
    running.add_argument("names", nargs="*")
    running.set_defaults(call=run_all)
    printing = commands.add_parser("table")
    printing.add_argument("--out", type=Path, required=True)
    printing.set_defaults(call=table)
    arguments = parser.parse_args(argv)
    if "threads" in arguments:
        torch.set_num_threads(arguments.threads)
    try:
        arguments.call(arguments)
    except SwtformerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
