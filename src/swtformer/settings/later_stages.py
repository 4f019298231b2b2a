"""Sections of the stages from maps to a model in use: refiner, pseudo-masks, segmentation, export."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from swtformer.settings.base import OptimisationSettings, Section
from swtformer.settings.images import Range, different_bands, one_range
from swtformer.settings.numbers import Count, Fraction, NonNegative, Positive, PositiveRange
from swtformer.settings.places import NamedPath
from swtformer.settings.registry import REFINERS
from swtformer.settings.shaping import NEUTRAL, OnlyWith


class RefineSettings(Section):
    """How maps are made to follow the edges of the images (METHOD 7)."""

    method: Annotated[str, AfterValidator(REFINERS.check)] = "par"
    """par and dense_crf need no training; psa and irn first learn affinities from the run's own maps.
    `swtformer plugins refiner` lists all, and their options, which are the section `refiner`."""
    source: Literal["auto", "cam", "rcam"] = "auto"
    """Maps to start from; auto takes the R-CAMs where the method makes them."""
    background_power: Annotated[Positive | None, OnlyWith("source", "cam")] = None
    """Background of CAMs is (1 − max)^power; by default the power at which it wins below the label-free
    threshold. R-CAMs bring their own."""
    batch_size: Annotated[Count | None, NEUTRAL] = None
    """Images of one size that are refined together, fewer where they are large or memory is short; by default
    1 on a CPU, where more would not be faster, and 16 on a GPU."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], NEUTRAL] = "auto"
    """Where to compute."""
    workers: Annotated[int, Field(ge=0), NEUTRAL] = 1
    """Threads, and processes in the fit of psa or irn, that read images ahead."""


class PseudoLabelSettings(Section):
    """How maps become masks to train on, with 255 where the evidence is weak; the truth is never looked at.

    A pixel's shares are its maps divided by their sum. After `dense_crf`, whose maps are sure of almost every
    pixel, they are those of the maps that it started from.
    """

    source: Literal["auto", "refined", "maps"] = "auto"
    """Maps to use; auto takes what `refine` made, and where there is nothing what `localize` made. dense_crf
    decides on the label alone: how sure it is, the maps that it started from say."""
    rule: Literal["keep", "margin", "thresholds"] = "keep"
    """keep: each label keeps its surest pixels; margin: the best share is ahead of the second by `margin`;
    thresholds: the best class has a share of `high` or more, or none has more than `low`."""
    margin: Annotated[Fraction, OnlyWith("rule", "margin")] = 0.2
    """Margin rule: smallest difference between the best and the second share."""
    high: Annotated[Fraction, OnlyWith("rule", "thresholds")] = 0.6
    """Threshold rule: share from which a pixel is of its best class."""
    low: Annotated[Fraction, OnlyWith("rule", "thresholds")] = 0.4
    """Threshold rule: share of the best class up to which a pixel is background."""
    keep: Annotated[float, Field(gt=0, le=1), OnlyWith("rule", "keep")] = 0.8
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
    masks: NamedPath | None = None
    """Folder of masks <id>.png to train on; by default the run's pseudo_masks."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the images with masks set aside: mIoU against their masks of the same folder is measured on
    it."""
    weighting: Literal["none", "per_class", "confidence"] = "none"
    """Cross-entropy of all pixels with equal weight, by the square root of how rare their class is, or by the
    confidence of their image (review.csv)."""
    dice: NonNegative = 0.0
    """Weight of the dice loss beside the cross-entropy; 0 turns it off."""
    presence: NonNegative = 1.0
    """Weight of the loss of the image-level head, which learns from image-level labels which classes an image
    shows and holds back the others; 0 leaves the head out. With the encoder "run" it starts as the run's
    CAM head."""
    crop_px: Annotated[int, Field(ge=32)] = 512
    """Side of the square training crop; multiples of 32 spare a resize."""
    long_side_px: Count | None = 500
    """Long side of every photograph at scale 1, in training and prediction, as `localize.long_side_px` is for
    maps. Larger shows finer things and less around them; with none, photographs keep their own size."""
    scale: PositiveRange = (0.5, 2.0)
    """Range of the random scale before cropping."""
    jitter: Fraction = 0.3
    """Range of the random brightness, contrast and saturation; hue shifts by a third of it; 0 turns it
    off. Only three-band images are jittered."""
    batch_size: Annotated[int, Field(ge=2)] = 16
    """Images per step and process; at least 2, since the decoders normalise by batch."""


class PredictSettings(Section):
    """How masks of new photographs are made."""

    network: Literal["auto", "segmentation", "cam"] = "auto"
    """The run's segmentation network or its CAM model; auto takes the former where it is trained."""
    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1.0,)
    """Image scales whose class probabilities are averaged (a CAM model: whose maps are summed), of
    photographs with the long side that the model was trained for."""
    flip: bool = True
    """Add each scale's mirror image."""
    presence: Fraction = 1.0
    """How strongly the network's image-level head holds back classes that it does not see in the image or
    window, as the power of their probability; 0 not at all. Lower it where small objects are missed."""
    seen_as: Literal["auto", "photograph", "scene"] = "auto"
    """A photograph is seen whole, at the long side that the network was trained for; a scene at the scale of
    the images that it was trained on, which are its tiles. auto takes georeferenced images as scenes; files
    too large to be read whole always are."""
    window_px: Annotated[int, Field(ge=64, multiple_of=4)] = 1024
    """Images with a longer side, at the size that the network sees, are predicted in windows of this side."""
    overlap_px: Annotated[int, Field(ge=8, multiple_of=4)] = 128
    """What neighbouring windows share at least; less than half of window_px."""
    overlays: Annotated[bool, NEUTRAL] = False
    """Draw the masks over the photographs as well."""
    probabilities: Annotated[bool, NEUTRAL] = False
    """Write class probabilities at a quarter of the size as well, one fp16 .npz per image."""
    exif: Literal["auto", "raw", "apply"] = "auto"
    """EXIF orientation: raw keeps the stored pixel grid, apply turns images upright; auto does as with the
    images that the model was trained on."""
    range: Annotated[Range, BeforeValidator(one_range)] | None = None
    """Values that become black and white in images of more than 8 bits, as `data.range`; by default as in the
    images that the model was trained on, or decided from these where those had 8 bits."""
    bands: Annotated[tuple[Count, ...], AfterValidator(different_bands)] | None = None
    """Bands to read, as `data.bands`; by default those that the model was trained on."""
    page: Count | None = None
    """Page to read of files with several, as `data.page`; by default as for the model."""
    strict: Annotated[bool, NEUTRAL] = False
    """Refuse to start when any image cannot be read, instead of skipping it."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; auto takes bf16 where the processor has it and fp32 elsewhere."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], NEUTRAL] = "auto"
    """Where to compute."""
    workers: Annotated[int, Field(ge=0), NEUTRAL] = 1
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
