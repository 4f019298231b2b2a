"""Which team a command's process belongs to."""

from __future__ import annotations

from swtformer.errors import SettingsError
from swtformer.processes import launched_processes
from swtformer.sharing.base import Alone, Team


def open_team(ray: str | None = None, *, accelerator: str = "cpu") -> Team:
    """The processes that torchrun or srun launched, the workers of a Ray cluster, or this process alone.

    Call it before anything that only some of the processes may refuse: launched ones wait for one another.

    Args:
        ray: address of a Ray cluster, as `ray.init` takes it: auto is the one that runs here, local starts
            one on this machine; None for none.
        accelerator: where the work is done; each process gets a GPU of its own, where there are some.

    Raises:
        SettingsError: both were asked for.
        SwtformerError: the processes cannot reach one another, or Ray is not installed or not reached.
    """
    launched = launched_processes()
    if ray is not None:
        if launched > 1:
            raise SettingsError(
                f"{launched} processes were launched, and `ray` asks for others. Run the command without "
                "torchrun or srun: Ray starts its own processes."
            )
        from swtformer.sharing.over_ray import OverRay

        return OverRay(ray, accelerator=accelerator)
    if launched == 1:
        return Alone()
    from swtformer.sharing.launched import Launched

    return Launched(accelerator=accelerator)
