"""Sections of the stages from labelled photographs to maps and their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from swtformer.settings.base import OptimisationSettings, Section
from swtformer.settings.numbers import Count, Fraction, NonNegative, Positive


class DataSettings(Section):
    """Which images, which labels, which masks."""

    format: Literal["auto", "voc", "coco", "table", "folder", "shapes"] = "auto"
    """Data format; auto recognises it from what lies at the path."""
    split: str | None = None
    """Split to use: a VOC list name, a COCO annotation file, or the value of a table's split column."""
    validation_split: str | None = None
    """Split that validation mAP is measured on; without it `validation_fraction` of the images serves."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the training images set aside for validation mAP when no validation split is named."""
    classes: tuple[str, ...] | None = None
    """Class names in order; by default those that the data set declares, else the labels found, sorted."""
    images: Path | None = None
    """Folder that image names in a table or COCO file are relative to; by default found beside it."""
    masks: Path | None = None
    """Folder of ground-truth masks; used for scores only, never for training or model choice."""
    exif: Literal["raw", "apply"] = "raw"
    """EXIF orientation: raw keeps the stored pixel grid, as VOC-like masks do; apply turns images upright."""
    strict: bool = False
    """Refuse to start when any image cannot be read, instead of skipping it."""


class ModelSettings(Section):
    """The network: backbone, CAM head and, for V2, the refinement (METHOD 1 and 2)."""

    method: Literal["swtformer_v1", "swtformer_v2"] = "swtformer_v2"
    """swtformer_v1 gives CAMs; swtformer_v2 gives CAMs and the refined R-CAMs."""
    backbone: str = "swin_tiny_patch4_window7_224"
    """swin_tiny/small/base or any four-stage timm model (convnext_tiny, pvt_v2_b1, mobilenetv2_100 …)."""
    weights: str = "pretrained"
    """pretrained (downloaded by timm), none, or a local .safetensors or .pth file."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Stochastic depth rate of the backbone."""
    kernel: Literal[3, 1] = 1
    """Kernel size of the CAM head."""
    pooling: Literal["gap", "gmp", "gwrp"] = "gap"
    """Pooling from head output to class logits: mean, maximum, or globally weighted rank pooling."""
    norm: Literal["max", "minmax"] = "max"
    """How each map is scaled to [0, 1]: by its maximum, or by its minimum and maximum."""
    hff: Literal["pair", "pair_coarse", "single"] = "pair"
    """Hierarchical feature fusion: in pairs at stride 16, in pairs at stride 32, or all at once (as SIPE)."""
    affinity: Literal["abs", "relu"] = "abs"
    """Token affinity: absolute cosine as in Eq. 4, or its positive part."""
    background_weight: Positive = 0.5
    """Factor on the background's overlap when seeds are located."""
    seedless: Literal["closest", "none"] = "closest"
    """A present class that wins no seed: gets the token where it comes closest to winning, or stays dark."""
    background_over: Literal["present", "all"] = "present"
    """Classes whose maximum is taken away from 1 for the background map."""


class LossSettings(Section):
    """Weights and readings of the three losses (Eq. 2, 5, 6, 7)."""

    cls: NonNegative = 1.0
    """Weight of the classification loss."""
    gsc: NonNegative = 1.0
    """Weight of the consistency loss between CAM and R-CAM."""
    ccl: NonNegative = 1.0
    """Weight of the class-wise contrastive loss."""
    gsc_over: Literal["all", "present"] = "present"
    """Channels that the consistency loss averages over."""
    ccl_reading: Literal["literal", "per_class", "matrix", "off"] = "matrix"
    """How Eq. 6 is read: cosine of whole maps, per present class, between all pairs of classes, or not."""
    detach: Literal["none", "cam", "refined"] = "cam"
    """Side of GSC and CCL that receives no gradient."""
    ramp_epochs: NonNegative = 0.0
    """Epochs over which the weights of GSC and CCL rise linearly from 0."""


class TrainSettings(OptimisationSettings):
    """Optimisation, augmentation and checkpoints of stage one (METHOD 3)."""

    fusion_multiplier: Positive = 10.0
    """Learning rate of the feature fusion relative to the backbone's."""
    freeze_stages: Annotated[int, Field(ge=0, le=4)] = 0
    """Number of backbone stages (from the input) that are not trained."""
    start_from: Path | None = None
    """A finished run, saved model or hub id whose weights training starts from (a V1 for a V2, say)."""
    augmentation: Literal["advcam", "advcam_scaled", "psa", "mct"] = "advcam"
    """Augmentation preset (METHOD 3)."""
    crop_px: Annotated[int, Field(ge=32)] = 224
    """Side of the square training crop."""
    long_side_px: tuple[Count, Count] | None = None
    """Range of the random long side before cropping; by default the preset's own."""


class LocalizeSettings(Section):
    """How maps are made for a data set (METHOD 4)."""

    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 1.5, 2.0)
    """Image scales whose maps are summed."""
    flip: bool = True
    """Add each scale's mirror image."""
    classes: Literal["given", "predicted"] = "given"
    """Classes to map: the image labels, or those that the classifier finds."""
    class_threshold: Fraction = 0.5
    """Probability from which a predicted class counts as present; the best class is always kept."""
    seeds: Literal["view", "pooled"] = "pooled"
    """Where a view's seeds for R-CAM come from: its own CAM, or the CAM summed over all views."""
    stride: Count = 4
    """Maps are stored at the image's size divided by this."""
    batch_size: Count = 1
    """Images of one size that are mapped together."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; auto takes bf16 where the processor has it and fp32 elsewhere."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Where to compute."""
    workers: Annotated[int, Field(ge=0)] = 1
    """Threads that read images ahead."""


class MaskSettings(Section):
    """How maps become label images."""

    source: Literal["auto", "cam", "refined"] = "auto"
    """Maps to use; auto takes the refined ones where the method makes them."""
    policy: Literal["auto", "argmax", "fixed", "label_free"] = "auto"
    """auto: argmax for refined maps, label_free for CAMs; fixed: `threshold` is the background's score."""
    threshold: Fraction = 0.15
    """Background score of the fixed policy."""


class EvaluateSettings(Section):
    """What is scored and how."""

    maps: Literal["maps", "refined"] = "maps"
    """The run's maps to score: those of `localize` (maps) or those of `refine` (refined)."""
    policies: Annotated[
        tuple[Literal["fixed", "argmax", "label_free", "oracle"], ...], Field(min_length=1)
    ] = ("fixed", "argmax", "label_free", "oracle")
    """Background policies; oracle uses the ground truth and is labelled so."""
    threshold: Fraction = 0.15
    """Background score of the fixed policy."""
    score_classes: tuple[str, ...] | None = None
    """Classes (besides background) that the mean runs over; by default all."""
    missing: Literal["error", "background"] = "error"
    """An image with a mask but no prediction: refuse, or score it as all background."""
