"""Every setting once: typed models from which the YAML files and the command-line flags are derived.

A default lives here and nowhere else. METHOD in the documentation says what each reading of the paper means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from swtformer.settings.field_help import describe_fields
from swtformer.settings.numbers import Count, Fraction, NonNegative, Positive, PositiveRange


class Section(BaseModel):
    """Base of all sections: immutable; an unknown key is an error, and so is a number that is not finite.

    The docstring under a field is its help on the command line. Schemas are built at first use, since
    `--help` needs none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


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


class OptimisationSettings(Section):
    """What every training has: optimiser, schedule, checkpoints, processes (METHOD 3)."""

    epochs: Count = 30
    """Passes over the training images."""
    batch_size: Count = 16
    """Images per step and process."""
    learning_rate: Positive = 6e-5
    """Peak learning rate of the backbone."""
    head_multiplier: Positive = 10.0
    """Learning rate of the new layers (CAM head, decoder) relative to the backbone's."""
    minimum_learning_rate: NonNegative = 1e-6
    """Learning rate at the end of the cosine."""
    weight_decay: NonNegative = 0.05
    """AdamW weight decay; none on biases, norms and relative-position tables."""
    warmup_fraction: Fraction = 0.05
    """Part of all steps over which the learning rate rises from 0."""
    clip_norm: NonNegative = 1.0
    """Gradient norm limit; 0 turns clipping off."""
    accumulate: Count = 1
    """Batches whose gradients are added up before a step."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights; 0 turns it off."""
    early_stopping_patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better validation score after which training stops; 0 turns it off."""
    keep: Literal["last", "best"] = "last"
    """Weights to keep as the model: those of the last epoch or of the best validation score."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; auto takes bf16 where the processor has it and fp32 elsewhere."""
    workers: Annotated[int, Field(ge=0)] = 2
    """Processes that load images."""
    devices: Count = 1
    """Processes (CPU) or GPUs per machine."""
    nodes: Count = 1
    """Machines; the processes are launched by torchrun or srun."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Where to compute."""
    tensorboard: bool = False
    """Write TensorBoard logs beside metrics.csv; needs the extra `log`."""


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
    policies: tuple[Literal["fixed", "argmax", "label_free", "oracle"], ...] = (
        "fixed",
        "argmax",
        "label_free",
        "oracle",
    )
    """Background policies; oracle uses the ground truth and is labelled so."""
    threshold: Fraction = 0.15
    """Background score of the fixed policy."""
    score_classes: tuple[str, ...] | None = None
    """Classes (besides background) that the mean runs over; by default all."""
    missing: Literal["error", "background"] = "error"
    """An image with a mask but no prediction: refuse, or score it as all background."""


class RefineSettings(Section):
    """How maps are made to follow the edges of the images (METHOD 7)."""

    method: Literal["par", "dense_crf", "psa", "irn"] = "par"
    """par and dense_crf need no training; psa and irn learn affinities from the run's own maps first."""
    source: Literal["auto", "cam", "refined"] = "auto"
    """Maps to start from; auto takes the R-CAMs where the method makes them."""
    background_power: Positive | None = None
    """Background of CAMs is (1 − max)^power; by default the power at which it wins below the label-free
    threshold. R-CAMs bring their own."""
    par_iterations: Count = 10
    """PAR: rounds of averaging over the neighbours."""
    par_dilations: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 2, 4, 8, 12, 24)
    """PAR: distances of the eight neighbours, in pixels of its grid."""
    par_stride: Count = 2
    """PAR works at the image's size divided by this; 2 as published."""
    crf_engine: Literal["torch", "pydensecrf"] = "torch"
    """Dense CRF: our own on CPU or GPU, or the reference library (needs the extra `crf`)."""
    crf_unary: Literal["labels", "maps"] = "labels"
    """Dense CRF starts from each pixel's best label, or from the maps scaled to sum to 1."""
    crf_certainty: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Dense CRF: probability that a label of the `labels` unary is right."""
    crf_iterations: Count = 10
    """Dense CRF: mean-field rounds."""
    crf_gaussian_px: Positive = 3.0
    """Dense CRF: standard deviation in pixels of the smoothness kernel."""
    crf_gaussian_weight: NonNegative = 3.0
    """Dense CRF: weight of the smoothness kernel."""
    crf_bilateral_px: Positive = 50.0
    """Dense CRF: standard deviation in pixels of the appearance kernel."""
    crf_bilateral_rgb: Positive = 5.0
    """Dense CRF: standard deviation in colour (0 to 255) of the appearance kernel."""
    crf_bilateral_weight: NonNegative = 10.0
    """Dense CRF: weight of the appearance kernel."""
    fit_epochs: Count = 3
    """PSA and IRN: passes over the images when affinities are learned."""
    fit_batch_size: Count = 8
    """PSA and IRN: crops per step."""
    fit_learning_rate: Positive = 6e-4
    """PSA and IRN: learning rate of the new layers; PSA trains the backbone too, at a tenth of it."""
    fit_crop_px: Annotated[int, Field(ge=32)] | None = None
    """PSA and IRN: side of the square training crop; by default 448 and 512."""
    fit_radius: Annotated[int, Field(ge=2)] | None = None
    """PSA and IRN: pairs of pixels closer than this (on the network's grid) are learned from; 5 and 10."""
    fit_labels: Literal["maps", "dense_crf"] = "maps"
    """PSA and IRN: learn from the maps' surest pixels, or from those whose label the dense CRF confirms."""
    fit_confident: Annotated[float, Field(gt=0, le=1)] = 0.6
    """PSA and IRN: part of each class's pixels, the surest, that is learned from; the rest is ignored."""
    walk_radius: Annotated[int, Field(ge=2)] = 5
    """PSA and IRN: the random walk steps to pixels closer than this, on the network's grid."""
    walk_beta: Positive | None = None
    """PSA and IRN: power of the affinities in the walk; by default 8 and 10."""
    walk_steps: Annotated[int, Field(ge=0)] | None = None
    """PSA and IRN: steps of the random walk; by default 256 from CAMs, as published, and 32 from R-CAMs."""
    irn_background: Fraction | None = None
    """IRN: constant background score beside the walked maps, 0.25 as published; by default the background
    map walks like the others."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Where to compute."""
    workers: Annotated[int, Field(ge=0)] = 1
    """Threads that read images ahead."""


class PseudoLabelSettings(Section):
    """How maps become masks to train on, with 255 where the evidence is weak; the truth is never looked at.

    A pixel's shares are its maps divided by their sum. After `dense_crf`, whose maps are sure of almost every
    pixel, they are those of the maps that it started from.
    """

    source: Literal["auto", "refined", "maps"] = "auto"
    """Maps to use; auto takes what `refine` made, and where there is nothing what `localize` made. dense_crf
    decides on the label alone: how sure it is, the maps that it started from say."""
    rule: Literal["margin", "thresholds", "keep"] = "margin"
    """margin: the best share is ahead of the second by `margin`; thresholds: the best class has a share of
    `high` or more, or none has more than `low`; keep: each label keeps its surest pixels."""
    margin: Fraction = 0.2
    """Margin rule: smallest difference between the best and the second share."""
    high: Fraction = 0.6
    """Threshold rule: share from which a pixel is of its best class."""
    low: Fraction = 0.4
    """Threshold rule: share of the best class up to which a pixel is background."""
    keep: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Keep rule: part of each label's pixels, over all images, that are kept: those of largest margin."""


class SegmentSettings(OptimisationSettings):
    """The segmentation network and its training on pseudo-masks (METHOD 7)."""

    encoder: str = "run"
    """run (the run's backbone with its trained weights), an encoder of segmentation-models-pytorch
    (resnet50, mit_b2, tu-convnext_tiny …) or one of our backbones (swin_tiny …)."""
    weights: str = "pretrained"
    """Weights of an encoder other than run: pretrained (downloaded), none, or a local .safetensors or .pth
    file."""
    decoder: Literal["upernet", "segformer", "deeplabv3plus", "fpn"] = "segformer"
    """Decoder of segmentation-models-pytorch."""
    masks: Path | None = None
    """Folder of masks <id>.png to train on; by default the run's pseudo_masks."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the images with masks set aside: mIoU against their masks of the same folder is measured on
    it."""
    weighting: Literal["none", "per_class", "confidence"] = "none"
    """Cross-entropy of all pixels alike, by the square root of how rare their class is, or by the
    confidence of their image (review.csv)."""
    dice: NonNegative = 0.0
    """Weight of the dice loss beside the cross-entropy; 0 turns it off."""
    crop_px: Annotated[int, Field(ge=32)] = 512
    """Side of the square training crop; multiples of 32 spare a resize."""
    scale: PositiveRange = (0.5, 2.0)
    """Range of the random scale before cropping, relative to the photograph."""
    jitter: Fraction = 0.3
    """Range of the random brightness, contrast and saturation; hue shifts by a third of it; 0 turns it
    off."""
    batch_size: Annotated[int, Field(ge=2)] = 16
    """Images per step and process; at least 2, since the decoders normalise by batch."""


class PredictSettings(Section):
    """How masks of new photographs are made."""

    network: Literal["auto", "segmentation", "cam"] = "auto"
    """The run's segmentation network or its CAM model; auto takes the former where it is trained."""
    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0,)
    """Image scales whose class probabilities are averaged (a CAM model: whose maps are summed)."""
    flip: bool = True
    """Add each scale's mirror image."""
    window_px: Annotated[int, Field(ge=64, multiple_of=4)] = 1024
    """Images with a longer side are predicted in windows of this side, which bounds the memory."""
    overlap_px: Annotated[int, Field(ge=8, multiple_of=4)] = 128
    """What neighbouring windows share at least; less than half of window_px."""
    overlays: bool = False
    """Draw the masks over the photographs as well."""
    probabilities: bool = False
    """Write class probabilities at a quarter of the size as well, one fp16 .npz per image."""
    exif: Literal["auto", "raw", "apply"] = "auto"
    """EXIF orientation: raw keeps the stored pixel grid, apply turns images upright; auto does as the run's
    data settings, raw for a saved model."""
    strict: bool = False
    """Refuse to start when any image cannot be read, instead of skipping it."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; auto takes bf16 where the processor has it and fp32 elsewhere."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Where to compute."""
    workers: Annotated[int, Field(ge=0)] = 1
    """Threads that read images ahead."""


class ExportSettings(Section):
    """How masks are written for other tools."""

    objects: Literal["class", "component"] = "class"
    """What one object is in COCO, CVAT and Label Studio: all pixels of a class, or one connected part of it
    (needs the extra `export`); YOLO always has connected parts."""
    ignored: Literal["keep", "drop"] = "keep"
    """Pixels with 255: keep them as a label "ignored" where the format can, or drop them to background."""
    images: Literal["none", "copy"] = "none"
    """Copy the image files beside the masks (voc, yolo, cvat), or leave them where they are."""
    image_prefix: str = "/data/local-files/?d="
    """Label Studio: what stands before the image's file name in a task; by default its local storage."""


class Settings(Section):
    """All sections; this is what a `--config` file and a run's settings.yaml hold."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of everything random."""
    data: DataSettings = Field(default_factory=DataSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    loss: LossSettings = Field(default_factory=LossSettings)
    train: TrainSettings = Field(default_factory=TrainSettings)
    localize: LocalizeSettings = Field(default_factory=LocalizeSettings)
    mask: MaskSettings = Field(default_factory=MaskSettings)
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings)
    refine: RefineSettings = Field(default_factory=RefineSettings)
    pseudo_label: PseudoLabelSettings = Field(default_factory=PseudoLabelSettings)
    segment: SegmentSettings = Field(default_factory=SegmentSettings)
    predict: PredictSettings = Field(default_factory=PredictSettings)
    export: ExportSettings = Field(default_factory=ExportSettings)


describe_fields(Section)  # behind the last section
