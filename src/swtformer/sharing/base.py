"""What a stage does with its images, and the team of processes that divide them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar, final

Item = TypeVar("Item")
Result = TypeVar("Result")
Decision = TypeVar("Decision")


class Advance(Protocol):
    """Called as images are finished."""

    def __call__(self, done: int) -> None:
        """Report that about `done` images are finished."""


def unseen(done: int) -> None:
    """Advance that nobody watches."""


class Work(ABC, Generic[Item, Result]):
    """What is done with images: a dataclass of all that another process needs to know.

    What it loads, such as a network, it keeps in cached properties, which do not travel: a process that is
    sent the work loads them once.

    Attributes:
        gathered: images of each process after which their results are gathered; fewer where results are
            large, as those of all processes then wait in memory.
    """

    gathered: ClassVar[int] = 2**12

    @abstractmethod
    def __call__(self, items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of every item in order, with its files written."""

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone."""
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]


class Team(ABC):
    """The processes that divide the images of one command.

    All of them run the stage. Its results are seen, and its notes written, by the first process alone.
    """

    @abstractmethod
    def agreed(self, decide: Callable[[], Decision]) -> Decision:
        """What `decide` returns in the first process; the others wait for it and do not call it.

        Raises:
            SwtformerError: another process has ended.
        """

    @abstractmethod
    def divided(
        self, work: Work[Item, Result], items: Sequence[Item], advance: Advance = unseen
    ) -> Iterator[Result]:
        """Do the work on every item once, each in one of the processes.

        Args:
            work: what to do; equal in every process.
            items: those that the first process names; the others are told.
            advance: called in the first process.

        Yields:
            In the first process, the result of every item in order; in the others nothing, but they work
            only while they iterate.

        Raises:
            SwtformerError: another process has ended.
        """


@final
class Alone(Team):
    """One process."""

    def agreed(self, decide: Callable[[], Decision]) -> Decision:
        """See `Team`."""
        return decide()

    def divided(
        self, work: Work[Item, Result], items: Sequence[Item], advance: Advance = unseen
    ) -> Iterator[Result]:
        """See `Team`."""
        for done, result in enumerate(work(items), start=1):
            yield result
            advance(done)
