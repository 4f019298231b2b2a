"""A stage's images divided over processes: those of torchrun or srun, those of a Ray cluster, or this one."""

from swtformer.sharing.base import Alone, Team, Work
from swtformer.sharing.opening import open_team

__all__ = ["Alone", "Team", "Work", "open_team"]
