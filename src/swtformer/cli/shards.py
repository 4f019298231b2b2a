"""Shards on the command line: telling them from photographs, and saying what was done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swtformer.cli.outcome import Outcome, warn_of_skipped
from swtformer.cli.screen import say
from swtformer.errors import DataError, SettingsError
from swtformer.processes import without_launcher
from swtformer.store.shard_names import is_address, is_shard

if TYPE_CHECKING:
    from swtformer.datasets.shards.over_shards import ShardsResult


def are_shards(inputs: Sequence[str], out: str | None) -> bool:
    """Whether inputs are shards: .tar and .parquet files by their names, and whatever has an address.

    Raises:
        DataError: some are and some are not.
        SettingsError: they are not, and `out` is an address.
    """
    named = [is_address(text) or is_shard(text) for text in inputs]
    if any(named) and not all(named):
        raise DataError("Shards (.tar and .parquet files) and other inputs need a command each.")
    if out is not None and is_address(out) and not any(named):
        raise SettingsError(f"`out` {out}: results go to an address only where the images come in shards.")
    return any(named)


def refuse_ray(address: str | None) -> None:
    """Refuse to divide shards over a Ray cluster.

    Raises:
        SettingsError: an address was given.
    """
    if address is not None:
        raise SettingsError("`ray` has no meaning for shards. The processes of torchrun or srun divide them.")


def say_shards(result: ShardsResult, *, what: str) -> Outcome:
    """Say what was done, and how the command ends.

    Of several processes each tells of its own shards and ends with 0, as launchers stop all when one ends
    with another number; the last one tells of all.

    Args:
        result: of the stage.
        what: what the shards hold now, such as "masks".

    Raises:
        DataError: no image could be used.
    """
    if result.is_whole and result.images == 0:
        raise DataError(
            f"No image of the shards can be used, so there are no {what}. {result.failures_file} says why; "
            f"the first: {result.failures[0].reason}"
        )
    if not result.is_whole:
        say(
            f"This process has finished its share of the shards ({result.shards}). The last one to finish "
            "reports on all of them."
        )
        return Outcome()
    with without_launcher():  # whoever is last speaks for all
        kept = f", {result.kept} of them made before" if result.kept else ""
        say(f"Images with {what}: {result.images}, in {result.shards} shards{kept}: {result.out}")
        return Outcome(warn_of_skipped(result.failures, result.failures_file))
