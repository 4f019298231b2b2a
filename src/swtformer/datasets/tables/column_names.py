"""Which column of a table is what, by the names that people give them.

Names are compared without case, blanks and punctuation: "Image Index" and "image_index" are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

IMAGE_COLUMNS = (
    "image", "filename", "imagename", "imagepath", "imagefile", "imagefilename", "filepath", "path",
    "file", "img", "imgname", "imgpath", "imgfile", "imagefilepath", "imageid", "imgid", "imageindex",
    "imagefileid", "photo", "photoname", "picture", "imagesname", "images", "isicid", "dicomid",
    "idcode", "fileid", "tile", "patch", "slide", "frame", "sample", "imageurl", "imgurl", "url", "uri",
    "externalid", "bild", "bilddatei", "bildname", "datei", "dateiname", "fichier", "nomdufichier",
    "nomfichier", "archivo", "imagen", "immagine", "patientid", "uid", "id", "name", "key", "item",
)  # fmt: skip
"""Names of the column of image names, the surest first."""

LABEL_COLUMNS = (
    "labels", "label", "classes", "class", "categories", "category", "tags", "tag", "findinglabels",
    "targets", "target", "classname", "classnames", "classlabel", "classlabels", "labelname",
    "labelnames", "categoryname", "categorynames", "choice", "choices", "findings", "finding",
    "imagelabels", "imagelabel",
)  # fmt: skip
"""Names of the column of labels."""

LESS_SURE_LABELS = (
    "diagnosis", "dx", "disease", "species", "breed", "objects", "object", "annotations", "annotation",
    "objectname", "defect", "defects", "defecttype", "breedname", "speciesname", "groundtruth", "gt",
    "type", "variety", "pathology", "landcover", "scene", "symptoms", "attributeids", "attributes",
    "lesiontype", "variable", "klasse", "klassen", "kategorie", "clase", "classe", "etiqueta",
    "étiquette", "étiquettes", "befund", "befunde", "diagnose", "diagnosen", "diagnostic", "diagnostico",
    "regionattributes",
)  # fmt: skip
"""Names that count where no column has one of `LABEL_COLUMNS`."""

LABEL_ENDINGS = ("label", "labels", "class", "classes", "category", "categories", "tags")
"""Ends of names that count where no column has a name of its own."""

NUMBER_COLUMNS = (
    "classid", "categoryid", "labelid", "classidx", "labelidx", "classindex", "labelindex",
    "classnumber", "classids", "labelids", "categoryids", "y",
)  # fmt: skip
"""Names of a column of numbers of a class list; names in another column are preferred to them."""

MASK_COLUMNS = (
    "mask", "maskpath", "maskfile", "maskname", "maskfilename", "segmentationmask", "maskimage",
    "segmentationpath", "gtpath", "maskid",
)  # fmt: skip
SPLIT_COLUMNS = (
    "split",
    "subset",
    "set",
    "partition",
    "phase",
    "datasplit",
    "usage",
)
SPLIT_FLAGS = (
    "train",
    "istrain",
    "training",
    "test",
    "istest",
    "val",
    "isval",
    "valid",
    "isvalid",
    "validation",
)
"""Names of columns of 0 and 1 that say whether an image is in a split."""

SPLIT_WORDS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "unassigned"})
"""Cells (lower case) of a column of splits."""

SCORE_COLUMNS = (
    "confidence",
    "score",
    "probability",
    "prob",
    "present",
    "presence",
    "ispresent",
    "exists",
    "value",
)
"""Names of a column that says how sure, or whether, the label of its row holds."""

OUTLINE_COLUMNS = (
    "encodedpixels",
    "rle",
    "segmentation",
    "encoding",
    "rlemask",
    "maskrle",
    "annotationrle",
)
"""Names of a column of outlines; where it is empty, the object of its row is not there."""

BOX_COLUMNS = (
    "xmin", "xmax", "x1", "bbox", "boxes", "bndbox", "boundingbox", "boundingboxes", "bboxx", "bx",
    "bbx", "left", "xcenter", "xc", "boxx", "bboxxmin", "minx", "regionid", "regionshapeattributes",
)  # fmt: skip

METADATA = frozenset(
    {
        "fold", "folds", "kfold", "cvfold", "index", "level0", "level1", "idx", "width", "height", "w",
        "h", "imagewidth", "imageheight", "imgwidth", "imgheight", "size", "filesize", "channels",
        "depth", "area", "train", "training", "val", "valid", "validation", "test", "testing", "split",
        "flipped", "rotated", "augmented", "cropped", "rotation", "angle", "year", "month", "day",
        "date", "time", "timestamp", "age", "sex", "gender", "male", "female", "difficult", "truncated",
        "occluded", "iscrowd", "crowd", "verified", "reviewed", "checked", "annotator", "annotatorid",
        "annotationid", "createdat", "updatedat", "leadtime", "camera", "view", "viewposition",
        "latitude", "longitude", "lat", "lon", "lng", "x", "y", "xmin", "xmax", "ymin", "ymax", "x1",
        "x2", "y1", "y2", "count", "total", "weight", "quality", "confidence", "score", "version",
        "batch", "patient", "patientid", "subject", "subjectid", "caseid", "group", "groupid", "seed",
        "value", "present", "presence", "exists", "probability", "duplicate", "corrupt", "blurry",
        "grayscale", "imageid", "id", "labelcount", "numlabels", "source",
    }
)  # fmt: skip
_METADATA_START = re.compile(
    r"(num|n|count)_|(num|count)[A-Z]|number_? ?of"
    r"|(?i:rater|reader|annotator|observer|expert|grader)[_\s\-]?(\d|[a-zA-Z]$)"
)

_METADATA_END = re.compile(
    r"(?:[_\s\-](?i:id|uid|count|size|index|idx|num|number)|(?<=[a-z])(?:ID|Id|UID|Count|Size|Index|Idx|Num))$"
)

_SERIES = re.compile(r"(.*?)[ _.\-]*(\d+|[a-cA-C])")


def plain(name: str) -> str:
    """A column's name without case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name).lower()


def is_unnamed(name: str) -> bool:
    """Whether a column has no name of its own, as pandas' index."""
    return not name or re.fullmatch(r"unnamed[:_ ]*\d+(_level_\d+)?", name.lower()) is not None


def is_metadata(name: str) -> bool:
    """Whether a column of numbers is no class by its name."""
    affixed = _METADATA_START.match(name) or _METADATA_END.search(name)
    return plain(name) in METADATA or affixed is not None


def find_columns(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """Columns that have one of some names, in the order of `names`."""
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(plain(column), []).append(column)
    return [column for name in names for column in by_name.get(name, ())]


def find_series(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Columns that are numbered by one of some names (label1, label2 …), with the unnumbered one."""
    found: dict[str, list[str]] = {}
    for column in columns:
        match = _SERIES.fullmatch(column)
        base = plain(match[1]) if match else plain(column)
        if base in names:
            found.setdefault(base.removesuffix("s"), []).append(column)
    return max(found.values(), key=len, default=[])
