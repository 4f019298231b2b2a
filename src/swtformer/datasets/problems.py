"""Collects what is wrong with a data set, so that one error can list all of it."""

from __future__ import annotations

from collections.abc import Sequence

from swtformer.datasets.records import Problem
from swtformer.errors import DataError, some

SHOWN = 20


class BrokenSetError(DataError):
    """A data set with fatal problems; `problems` holds all that was found, warnings included."""

    def __init__(self, message: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(message)
        self.problems = problems


class Problems:
    """Collects problems while a data set is read; the fatal ones are raised together at the end."""

    def __init__(self) -> None:
        self._fatal: list[Problem] = []
        self._warnings: list[Problem] = []

    def fatal(self, kind: str, message: str, *, id: str | None = None) -> None:
        """Add a problem that stops every command."""
        self._fatal.append(Problem(kind, True, _printable(message), id))

    def fatal_once(self, kind: str, messages: Sequence[str]) -> None:
        """Add faults of one kind as one problem: the first, and how many there are; none adds nothing."""
        if messages:
            more = f" There are {len(messages)} such faults." if len(messages) > 1 else ""
            self.fatal(kind, messages[0] + more)

    def warn(self, kind: str, message: str, *, id: str | None = None) -> None:
        """Add something that is skipped, or that the user should know."""
        self._warnings.append(Problem(kind, False, _printable(message), id))

    @property
    def has_fatal(self) -> bool:
        """Whether anything stops every command."""
        return bool(self._fatal)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that stop nothing."""
        return tuple(self._warnings)

    def raise_fatal(self, where: str) -> None:
        """Raise the fatal problems, if there are any.

        Args:
            where: name of the data set, at the start of the message.

        Raises:
            BrokenSetError: all fatal problems, the first 20 in full and the others counted.
        """
        if self._fatal:
            raise broken_set(where, self._fatal, warnings=self._warnings)


def broken_set(where: str, fatal: Sequence[Problem], *, warnings: Sequence[Problem] = ()) -> BrokenSetError:
    """The error of a data set with fatal problems: the first 20 in full and the others counted.

    Args:
        where: name of the data set, at the start of the message.
        fatal: what must be fixed; one or more.
        warnings: what else was found.
    """
    count = len(fatal)
    lines = [f"{where}: {count} problem{'s' if count > 1 else ''} to fix first:"]
    lines += [f"  {problem.message}" for problem in fatal[:SHOWN]]
    if count > SHOWN:
        lines.append(f"  … and {count - SHOWN} more.")
    return BrokenSetError("\n".join(lines), (*fatal, *warnings))


def images_have(ids: Sequence[str]) -> str:
    """Start of a sentence about images, such as "2 images (a, b) have"."""
    return f"1 image ({ids[0]}) has" if len(ids) == 1 else f"{len(ids):,} images ({some(ids)}) have"


def _printable(message: str) -> str:
    """The message with parts of file names that are not UTF-8 escaped, so that it can be written anywhere."""
    return message.encode("utf-8", "backslashreplace").decode()
