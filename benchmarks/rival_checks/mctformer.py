"""MCTformer V1 and V2 (commit 355a4aa) and Plus (HEAD): logits, losses and maps.

Their own `train_one_epoch` and `generate_attention_maps_ms` run on drawn images, with our views of them, at
sizes of whole patches. At other sizes than 224 px, V1 and V2 get positional embeddings of the exact grid:
their own are of a grid that is a tenth of a patch too large.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rival_checks import Check, compared
from swtformer.functional.views import views
from swtformer.methods import Batch, create_model
from swtformer.settings import LocalizeSettings, ModelSettings

FOLDER = "MCTformer"
BEFORE_PLUS = "355a4aa"
CLASSES = ("cat", "dog", "cow", "car", "cup")
SIZE, SCALES = (128, 192), (1.0, 0.75, 1.25)


def checks(folder: Path) -> list[Check]:
    """Compare V1, V2 and Plus."""
    _stand_ins()
    engine = import_module("engine")
    plus = import_module("models")
    with tempfile.TemporaryDirectory() as place:
        for name in ("models", "engine"):
            text = subprocess.run(
                ["git", "-C", str(folder), "show", f"{BEFORE_PLUS}:{name}.py"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            (Path(place) / f"{name}_{BEFORE_PLUS}.py").write_text(text, encoding="utf-8")
        sys.path.insert(0, place)
        old, old_engine = import_module(f"models_{BEFORE_PLUS}"), import_module(f"engine_{BEFORE_PLUS}")
    options = {"num_classes": len(CLASSES)}
    return [
        *_one("mctformer_v1", old.deit_small_MCTformerV1_patch16_224(**options), old_engine, 3),
        *_one("mctformer_v2", old.deit_small_MCTformerV2_patch16_224(**options), old_engine, 3),
        *_one("mctformer_plus", plus.deit_small_MCTformerPlus(**options, input_size=224), engine, 12),
    ]


def _one(method: str, theirs: Any, engine: ModuleType, layers: int) -> list[Check]:
    """Compare one model at its published options."""
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.05)
    ours = create_model(
        ModelSettings(method=method, backbone="deit_small_patch16_224", weights="none", drop_path=0), CLASSES
    ).eval()
    ours.load_state_dict(_our_names(theirs.eval().state_dict()))
    images = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    present = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 1, 1]])
    seen = ours.normalisation(images)
    commit = "" if method == "mctformer_plus" else f"{BEFORE_PLUS}:"
    source, steps = f"{commit}models.py", f"{commit}engine.py"

    with torch.no_grad():
        made = theirs(seen)
        tokens = ours.tokens(images)[-1]
    own = made if isinstance(made, Tensor) else made[0]
    found = [compared(f"{method} class-token logits", source, ours=tokens.classes.mean(-1), other=own)]
    if method != "mctformer_v1":
        with torch.no_grad():
            patches = ours.patch_logits(ours.head(tokens.patches))
        found.append(compared(f"{method} patch logits", source, ours=patches, other=made[-1]))

    stats = _trained(engine, theirs, seen, present)
    losses = ours.train().losses(Batch(images, present), epoch=0.0)
    total = sum(losses.values())
    for name, meter in {"contrast": "attn_loss", "patch_cls": "pat_loss"}.items():
        if name in losses:
            other = torch.tensor(stats[meter])
            found.append(compared(f"{method} {name} loss", steps, ours=losses[name], other=other))
    other = torch.tensor(stats["loss"])
    found.append(compared(f"{method} total loss", f"{steps}: train_one_epoch", ours=total, other=other))

    maps = _maps(method, theirs.eval(), engine, ours.eval(), layers)
    return [*found, compared(f"{method} maps", f"{steps}: generate_attention_maps_ms", **maps)]


def _our_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights under our names, without what they never use: the final norm, V1's linear head."""
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(("blocks.", "patch_embed.", "cls_token", "pos_embed")):
            renamed[f"backbone.model.{name}"] = tensor
        elif name.startswith("head.") and tensors["head.weight"].ndim == 4:
            renamed[name] = tensor
    if "pos_embed_cls" in tensors:  # Plus has these two in place of `pos_embed`
        positions = [renamed.pop(f"backbone.model.pos_embed_{part}") for part in ("cls", "pat")]
        renamed["backbone.model.pos_embed"] = torch.cat(positions, dim=1)
    return renamed


def _trained(engine: ModuleType, theirs: Any, seen: Tensor, present: Tensor) -> dict[str, float]:
    """Losses of their training step."""
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.0}], zero_grad=lambda: None)
    more = {} if "Plus" not in type(theirs).__name__ else {"args": SimpleNamespace(num_cct=12, loss_weight=1)}
    made: dict[str, float] = engine.train_one_epoch(
        theirs, [(seen, present)], optimizer, torch.device("cpu"), 0, lambda *_, **__: None, 0, **more
    )
    return made


def _maps(method: str, theirs: Any, engine: ModuleType, ours: Any, layers: int) -> dict[str, Tensor]:
    """Our maps and theirs of one image, over scales and mirror images, at the image's own size."""
    present = torch.tensor([[1.0, 0, 1, 0, 1]])
    image = torch.randint(0, 256, (1, 3, 16, 24)).float()
    image = F.interpolate(image, SIZE, mode="bicubic").clamp(0, 255).to(torch.uint8)
    if method != "mctformer_plus":
        theirs.interpolate_pos_encoding = lambda _, height, width: _positions(theirs, height, width)
    seen = [ours.normalisation(view) for _, view in views(image, scales=SCALES, flip=True)]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "train_aug_id.txt").write_text("one\n", encoding="utf-8")
        args = SimpleNamespace(
            attention_dir=None,
            cam_npy_dir=place,
            img_list=place,
            patch_size=16,
            model={"mctformer_v1": "MCTformerV1", "mctformer_v2": "MCTformerV2"}.get(method, "MCTformerPlus"),
            layer_index=layers,
            attention_type="fused",
            patch_attn_refine=True,
            visualize_cls_attn=True,
            nb_classes=len(CLASSES),
        )
        engine.generate_attention_maps_ms([(seen, present)], theirs, torch.device("cpu"), args)
        made = np.load(Path(place) / "one.npy", allow_pickle=True).item()
    other = torch.zeros(1, len(CLASSES), *SIZE)
    for index, values in made.items():
        other[0, index] = torch.from_numpy(values)
    settings = LocalizeSettings(scales=SCALES, flip=True, stride=1)
    return {"ours": ours.maps(image, present, settings=settings).cam, "other": other}


def _positions(theirs: Any, height: int, width: int) -> Tensor:
    """V1's and V2's positional embeddings at the exact grid."""
    table = theirs.pos_embed[:, len(CLASSES) :].mT.unflatten(2, (14, 14))
    resized = F.interpolate(table, (height // 16, width // 16), mode="bicubic", align_corners=False)
    return torch.cat([theirs.pos_embed[:, : len(CLASSES)], resized.flatten(2).mT], dim=1)


def _stand_ins() -> None:
    """What they import from an old timm or do not need here, and calls of a GPU."""

    def module(name: str, **content: Any) -> None:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)

    import timm.layers

    sys.modules["timm.models.layers"] = timm.layers
    module("timm.models.registry", register_model=lambda function: function)
    module("timm.models.helpers", load_pretrained=None)
    with contextlib.suppress(ImportError):
        import_module("cv2")
    if "cv2" not in sys.modules:
        module("cv2")
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    torch.cuda.synchronize = lambda *_: None  # type: ignore[assignment]
    torch.cuda.amp.autocast = contextlib.nullcontext  # type: ignore[misc, assignment]
