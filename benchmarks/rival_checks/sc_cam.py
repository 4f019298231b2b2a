"""SC-CAM (Juliachang/SC-CAM): heads, losses, sub-category labels and maps, on the same features.

Their network is a ResNet-38 below the heads. One convolution takes its place here on both sides.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rival_checks import Check, compared
from rival_checks._resnet50 import CLASSES, drawn_images, drawn_labels
from swtformer.backbones.base import Backbone, Pyramid
from swtformer.functional.clusters import Clusters, lloyd
from swtformer.functional.views import views
from swtformer.methods import METHODS, Batch, TrainingImages
from swtformer.settings import LocalizeSettings, ModelSettings

FOLDER = "SC-CAM"
CODE = "network/resnet38_cls.py"
K = 10
CHANNELS = 4096
SCALES = (1.0, 0.5, 1.5, 2.0)


class OneConvolution(Backbone):
    """Features in the place of ResNet-38's, not negative as those are, at stride 8."""

    channels = (1, 1, 1, CHANNELS)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, CHANNELS, 8, stride=8)

    def forward(self, images: Tensor) -> Pyramid:
        """See `Backbone.forward`."""
        last = self.convolution(images).relu()
        return images, images, images, last

    def stage_modules(self) -> tuple[list[nn.Module], ...]:
        """See `Backbone.stage_modules`."""
        return [], [], [], [self.convolution]


def checks(folder: Path) -> list[Check]:
    torch.manual_seed(0)
    backbone = OneConvolution()
    settings = ModelSettings(method="sc_cam", weights="none")
    options = METHODS.options("sc_cam", {"long_side_px": 160})  # of the drawn images, so none is resized
    ours: Any = METHODS["sc_cam"](backbone, settings, CLASSES, options)
    with torch.no_grad():
        for head in (ours.head, ours.sub_head):
            head.weight.normal_(std=0.1)
            head.weight -= head.weight.mean(1, keepdim=True)
    theirs = _their_network(backbone)
    with torch.no_grad():
        theirs.fc8_20.weight.copy_(ours.head.weight)
        theirs.fc8_200.weight.copy_(ours.sub_head.weight[:, :, None, None])
    return [*_training_step(ours, theirs), *_sub_categories(ours), *_maps(ours.eval(), theirs.eval())]


def _their_network(backbone: OneConvolution) -> Any:
    """Their heads of the rounds after the first, on our features."""
    import network.resnet38d

    class Below(nn.Module):
        conv1a = b2 = b2_1 = b2_2 = None

        def forward(self, images: Tensor) -> Tensor:
            return backbone(images)[-1]

    with patch.object(network.resnet38d, "Net", Below):
        from network import resnet38_cls
    return resnet38_cls.Net(K, 1)


def _training_step(ours: Any, theirs: Any) -> list[Check]:
    """Of crops of images 3 and 1; channels are dropped by the same random numbers."""
    images, present = drawn_images(), drawn_labels()
    own = torch.randint(0, K, (4, len(CLASSES)), dtype=torch.int16)
    ours.training_state = {"sub_categories": own}
    batch = Batch(images, present, index=torch.tensor([3, 1]))
    torch.manual_seed(1)
    losses = ours.train().losses(batch, epoch=0.0)
    weights = ours.loss_weights(0.0)
    total = sum(weights[name] * loss for name, loss in losses.items())
    total.backward()

    labels = torch.zeros(2, K * len(CLASSES))
    for crop, image in enumerate((3, 1)):
        for category in present[crop].nonzero()[:, 0]:
            labels[crop, category * K + own[image, category]] = 1
    torch.manual_seed(1)
    x_20, _, _, x_200, _ = theirs.train()(ours.normalisation(images), 1)
    cls_20 = F.multilabel_soft_margin_loss(x_20, present)
    cls_200 = F.multilabel_soft_margin_loss(x_200, labels)
    (cls_20 + 5 * cls_200).backward()
    with torch.no_grad():
        pooled = ours.eval().pooled(images)
        _, feature, _, sub_scores, _ = theirs.eval()(ours.normalisation(images), 1)

    script = "train_cls.py"
    pairs = [
        ("class loss, channels dropped", script, losses["cls"], cls_20),
        ("sub-category loss, channels dropped", script, losses["sub_cls"], cls_200),
        ("total loss", script, total, cls_20 + 5 * cls_200),
        ("gradient of fc8_20, relative", CODE, *_relative(ours.head.weight.grad, theirs.fc8_20.weight.grad)),
        (
            "gradient of fc8_200, relative",
            CODE,
            *_relative(ours.sub_head.weight.grad, theirs.fc8_200.weight.grad[:, :, 0, 0]),
        ),
        ("pooled features", "extract_feature.py", pooled, feature),
        ("sub-category scores", f"{CODE}: Net.forward", ours.sub_head(pooled), sub_scores),
    ]
    return [
        compared(what, where, ours=first.detach(), other=second.detach())
        for what, where, first, second in pairs
    ]


def _relative(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    scale = other.abs().max()
    return own / scale, other / scale


class _Points(TrainingImages):
    """Images that are known by their position alone."""

    def __init__(self, present: Tensor) -> None:
        self._present = present

    @property
    def present(self) -> Tensor:
        return self._present

    def __len__(self) -> int:
        return len(self._present)

    def __getitem__(self, index: int) -> Batch:
        place = torch.tensor([range(len(self))[index]])
        return Batch(place[:, None, None, None], self._present[place], index=place)


def _sub_categories(ours: Any) -> list[Check]:
    """Labels of 120 images by clusters that both sides start at the same centres."""
    from sklearn import cluster, decomposition, manifold  # noqa: F401 - before what the patch takes back

    unused = (
        "matplotlib",
        "matplotlib.image",
        "matplotlib.patches",
        "matplotlib.pyplot",
        "pandas",
        "scipy.misc",
    )
    with patch.dict(sys.modules, {name: MagicMock() for name in unused}):
        import create_pseudo_label as script

    generator = torch.Generator().manual_seed(0)
    count = 120
    points = torch.randn(count, CHANNELS, generator=generator)
    present = (torch.rand(count, len(CLASSES), generator=generator) < 0.3).float()
    present[:, 0] = 1  # their list has images with a class only

    names = [f"{number:03d}" for number in range(count)]
    members, files = script.make_filename_class_dict(names, present.numpy())
    merged = script.merge_filename_class_dict(files)
    repeats = script.generate_repeat_list(merged)
    rows: list[Any] = []
    for category in range(len(CLASSES)):
        own = points[members[category]].numpy()
        labels = (
            script.KMeans(K, init=own[:K], n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(own).labels_
        )
        rows = script.make_subclass_label(category, labels, K, rows)
    labelled = script.generate_merged_label(repeats, rows)
    kept, _ = script.remove_duplicate_label(repeats)
    theirs = torch.zeros(count, K * len(CLASSES))
    for place in kept:
        theirs[names.index(merged[place])] = torch.as_tensor(labelled[place]).float()

    def from_first_images(own: Tensor, clusters: int) -> Clusters:
        return lloyd(own, own[:clusters])

    images = _Points(present)
    with (
        patch("swtformer.methods.sc_cam.k_means", from_first_images),
        patch.object(ours, "pooled", lambda places: points[places[:, 0, 0, 0]]),
    ):
        ours.training_state = {"sub_categories": ours.clustered(images)}
    made = ours.sub_labels(Batch(torch.empty(0), present, index=torch.arange(count)))
    return [
        compared(
            "sub-category labels, equal first centres", "create_pseudo_label.py", ours=made, other=theirs
        )
    ]


@torch.no_grad()
def _maps(ours: Any, theirs: Any) -> list[Check]:
    """As infer_cls.py makes them, at the size of the image."""
    images, present = drawn_images(), drawn_labels()
    size = tuple(images.shape[-2:])
    expected = torch.zeros(len(images), len(CLASSES), *size)
    for is_mirrored, view in views(images, scales=SCALES, flip=True):
        cam, _ = theirs.forward_two_cam(ours.normalisation(view))
        cam = F.interpolate(cam, size, mode="bilinear", align_corners=False) * present[:, :, None, None]
        expected += cam.flip(-1) if is_mirrored else cam
    expected /= expected.amax((-2, -1), keepdim=True) + 1e-5
    made = ours.maps(images, present, settings=LocalizeSettings(scales=SCALES, flip=True, stride=1)).cam
    where = f"{CODE}: Net.forward_two_cam; infer_cls.py"
    return [compared("CAM over scales", where, ours=made, other=expected)]
