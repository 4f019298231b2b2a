"""Tables and figures of the paper, from trainings on any data set; a stopped call is resumed."""

from swtformer.stages.reproduce.figure import reproduce_figure
from swtformer.stages.reproduce.tables import reproduce

__all__ = ["reproduce", "reproduce_figure"]
