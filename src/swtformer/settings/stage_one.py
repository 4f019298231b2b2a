"""Sections of the stages from labelled photographs to maps and their scores."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from swtformer.settings.base import OptimisationSettings, Section
from swtformer.settings.images import ImageSettings
from swtformer.settings.numbers import Count, CountRange, Fraction, Positive
from swtformer.settings.patterns import LabelPattern
from swtformer.settings.places import NamedPath, Place
from swtformer.settings.registry import METHODS, READERS
from swtformer.settings.shaping import NEUTRAL, OnlyWith


def _format(name: str) -> str:
    return name if name == "auto" else READERS.check(name)


class DataSettings(ImageSettings):
    """Which images, which labels, which masks."""

    format: Annotated[str, AfterValidator(_format), NEUTRAL] = "auto"
    """Data format, one of those that `swtformer plugins reader` lists; auto recognises it from what lies at
    the path."""
    split: str | None = None
    """Split to use: a VOC list name, a COCO annotation file, or the value of a table's split column."""
    validation_split: str | None = None
    """Split that validation mAP is measured on; without it `validation_fraction` of the images serves."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the training images set aside for validation mAP when no validation split is named."""
    group: str | None = None
    r"""What must not be divided between training and validation: a column of the label table (patient, slide,
    burst), or else a regular expression whose parentheses find the group in the image's name, such as
    ^(patient\d+)."""
    classes: tuple[str, ...] | None = None
    """Class names in order; by default those that the data set declares, else the labels found, sorted."""
    images: Annotated[Place | None, NEUTRAL] = None
    """Folder that image names in a table or COCO file are relative to; by default found beside it."""
    pattern: LabelPattern | None = None
    """Regular expression that finds labels in the names of images: (?P<label>…) is a label, (?P<labels>…) are
    several, or a 0 or 1 for each of the classes. Nothing else in the folder is then read as labels."""
    background: Annotated[Literal["label", "none"], NEUTRAL] = "label"
    """What a pixel may be beside the classes: label 0, or nothing, where every pixel has a class, as in land
    cover. No R-CAM then holds a background, and the segmentation network never gives label 0."""
    masks: Annotated[Place | None, NEUTRAL] = None
    """Folder of ground-truth masks; used for scores only, never for training or model choice."""
    palette: Annotated[Place | None, NEUTRAL] = None
    """Colours of masks that are stored as colours: a text, CSV or JSON file of class and red, green, blue.
    Masks in the colours of PASCAL VOC need none."""
    strict: Annotated[bool, NEUTRAL] = False
    """Refuse to start when any image cannot be read, instead of skipping it."""


class ModelSettings(Section):
    """The network: method and backbone. The method has options of its own, in the section `method`."""

    method: Annotated[str, AfterValidator(METHODS.check)] = "swtformer_v3"
    """swtformer_v3, ours, and the paper's swtformer_v2 give CAMs and R-CAMs, its swtformer_v1 CAMs alone.
    `swtformer plugins method` lists all, and their options, which are the section `method`."""
    backbone: str = "swin_tiny_patch4_window7_224"
    """swin_tiny/small/base, resnet38d, conformer_small, any four-stage timm model (convnext_tiny,
    pvt_v2_b1, mobilenetv2_100 …), or a plain vision transformer (deit_small_patch16_224 …)."""
    output_stride: Literal[32, 16, 8] = 32
    """Stride of the backbone's last stage: with 16 or 8, which most convolutional families of timm and
    Conformer (16) take, maps are finer and cost more."""
    dilated: bool = True
    """With an output stride of 16 or 8, dilate the convolutions behind the strides that are taken away, so
    that they see as far as in their pretraining. The ResNet-50 of IRN and SIPE is not dilated."""
    weights: str = "pretrained"
    """pretrained (downloaded by timm), none, or a local .safetensors, .pth or (of MXNet) .params file."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Stochastic depth rate of the backbone."""
    bands: Annotated[Count, Field(le=4096)] = 3
    """Channels of the images; `train` takes as many as `data.bands` names."""


class TrainSettings(OptimisationSettings):
    """Optimisation, augmentation and checkpoints of stage one (METHOD 3)."""

    freeze_stages: Annotated[int, Field(ge=0, le=4)] = 0
    """Number of backbone stages (from the input) that are not trained."""
    start_from: NamedPath | None = None
    """A finished run, saved model or hub id whose weights training starts from (a V1 for a V2, say)."""
    augmentation: Literal["advcam", "advcam_scaled", "psa", "mct"] = "advcam"
    """Augmentation preset (METHOD 3)."""
    crop_px: Annotated[int, Field(ge=32)] = 224
    """Side of the square training crop."""
    long_side_px: CountRange | None = None
    """Range of the random long side before cropping; by default the preset's own."""


class LocalizeSettings(Section):
    """How maps are made for a data set (METHOD 4)."""

    scales: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0, 1.5, 2.0)
    """Image scales whose maps are summed."""
    long_side_px: Count | None = 500
    """Long side of every photograph at scale 1, about the size of PASCAL VOC's and of those seen in training;
    with none, scales are relative to the photograph's own size. The networks of later rounds see
    photographs at `segment.long_side_px`."""
    flip: bool = True
    """Add each scale's mirror image."""
    views: Annotated[Literal["both", "in_turn"], OnlyWith("flip", True)] = "both"
    """What is seen of each scale, with `flip`: both the image and its mirror image, or one of them in turn
    (the first scale as it is, the second mirrored, and so on), which halves the work and costs a little
    accuracy."""
    classes: Literal["given", "predicted"] = "given"
    """Classes to map: the image labels, or those that the classifier finds."""
    class_threshold: Annotated[Fraction, OnlyWith("classes", "predicted")] = 0.5
    """Probability from which a predicted class counts as present; the best class is always kept."""
    seeds: Literal["view", "pooled", "contrast"] = "pooled"
    """Where a view's seeds for R-CAM come from: its own CAM, the CAM summed over all views, or the latter
    times the root of how much a place differs from the rest of its image (contrast). Contrast is for faults
    on even surfaces, where the surface predicts the class as well as the fault does."""
    stride: Count = 4
    """Maps are stored at the image's size divided by this."""
    batch_size: Annotated[Count | None, NEUTRAL] = None
    """Images of one size that are mapped together, fewer where they are large or memory is short; by default
    1 on a CPU, where more would not be faster, and 16 on a GPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic; auto takes bf16 where the processor has it and fp32 elsewhere."""
    accelerator: Annotated[Literal["auto", "cpu", "gpu", "mps"], NEUTRAL] = "auto"
    """Where to compute."""
    workers: Annotated[int, Field(ge=0), NEUTRAL] = 1
    """Threads that read images ahead."""

    @property
    def mirrored(self) -> bool | Literal["in_turn"]:
        """Whether mirror images are seen: of each scale, or of every second one alone (in_turn)."""
        return "in_turn" if self.flip and self.views == "in_turn" else self.flip


class MaskSettings(Section):
    """How maps become label images."""

    source: Literal["auto", "cam", "rcam"] = "auto"
    """Maps to use; auto takes the R-CAMs where the method makes them."""
    policy: Literal["auto", "argmax", "fixed", "label_free"] = "auto"
    """auto: argmax for R-CAMs, label_free for CAMs; fixed: `threshold` is the background's score."""
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
