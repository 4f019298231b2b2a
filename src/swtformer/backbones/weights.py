"""Weights of networks: read safely from files, downloaded from the hub, and checked tensor by tensor."""

from __future__ import annotations

import pickle
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from swtformer.errors import CheckpointError, SwtformerError, nearest, some

PROBE_SECONDS = 5.0
"""Seconds without an answer from the hub after which the machine counts as offline."""

_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema")
_PREFIXES = ("module.", "model.", "_orig_mod.", "backbone.", "encoder.")
"""What trainers put before the network's own names: DataParallel, Lightning, torch.compile, and models that
hold the network beside other parts. No four-stage network of timm has parts of these names."""
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a weights file; code in the file is never executed.

    Wrappers such as ``{"model": {...}}`` are opened. If names start with a trainer's prefix (``module.``,
    ``model.``, ``backbone.``, ``encoder.``, also one behind another), only those are kept, without it.

    Args:
        path: .safetensors, a PyTorch file (.pth, .pt, .bin, .ckpt, .pth.tar) of tensors and plain values, or
            .params of MXNet.

    Raises:
        SwtformerError: the file does not exist, or its extension is unknown.
        CheckpointError: the file is truncated, damaged or unsafe, or has no named tensors.
    """
    if not path.is_file():
        raise SwtformerError(
            f"Weights file {path} does not exist. Give model.weights a .safetensors or .pth file, "
            "pretrained or none."
        )
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    elif path.name.endswith(_PICKLES):
        content = _read_pickle(path)
    elif path.suffix == ".params":
        from swtformer.backbones.mxnet_params import read_params

        content = read_params(path)
    else:
        raise SwtformerError(
            f"Weights file {path}: expected the extension .safetensors, {', '.join(_PICKLES)}, .params."
        )
    wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    if wrapper is not None:
        content = content[wrapper]
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"Weights file {path} has no named tensors.")
    while prefix := next(
        (item for item in _PREFIXES if any(name.startswith(item) for name in tensors)), None
    ):
        tensors = {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
    return tensors


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: Mapping[str, Any] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"Weights file {path} is truncated or not a safetensors file: {error}. Download it again."
        ) from None
    return content


def _read_pickle(path: Path) -> Mapping[Any, Any]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"Weights file {path} is refused: it contains more than tensors and plain values, or is not a "
            "PyTorch file, so loading it could run code. If you trust it, convert it to .safetensors."
        ) from None
    except Exception as error:  # torch.load raises whatever a damaged file makes it raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"Weights file {path} is truncated or damaged: {reason}. Download it again."
        ) from None
    if isinstance(content, Mapping):
        return content
    raise CheckpointError(f"Weights file {path} contains a {type(content).__name__}, expected named tensors.")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str, network: str) -> None:
    """Copy tensors into a module by name; the module changes only if all of them fit.

    Counters of batch-norm steps may be missing, as nothing reads them.

    Args:
        module: the network.
        tensors: by the module's own names.
        source: file that they came from, for messages.
        network: name of the network, for messages.

    Raises:
        CheckpointError: tensors are missing or unknown, or have another shape; the message has counts and
            the first names.
    """
    expected = module.state_dict()
    missing = [n for n in expected if n not in tensors and not n.endswith("num_batches_tracked")]
    unknown = [name for name in tensors if name not in expected]
    if missing or unknown:
        shared = len(tensors) - len(unknown)
        raise CheckpointError(
            f"{source} does not fit {network}: {shared} of its {len(tensors)} tensors are known, "
            f"{len(missing)} of the {len(expected)} that {network} needs are missing{_first(missing)}, "
            f"{len(unknown)} are unknown{_first(unknown)}. Give weights of {network}."
        )
    misshapen = [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}"
        for name, tensor in tensors.items()
        if tensor.shape != expected[name].shape
    ]
    if misshapen:
        raise CheckpointError(
            f"{source} does not fit {network}: {len(misshapen)} of {len(tensors)} tensors differ in shape: "
            + "; ".join(misshapen[:3])
            + (" …" if len(misshapen) > 3 else ".")
        )
    module.load_state_dict(dict(tensors), strict=False)


def _first(names: list[str]) -> str:
    return f" ({some(names, most=3)})" if names else ""


def pretrained_file(name: str) -> Path:
    """The file with a timm model's published weights, downloaded from the hub unless it is cached.

    Args:
        name: timm model name, with or without a tag ("convnext_tiny", "convnext_tiny.fb_in22k").

    Raises:
        SwtformerError: no weights are published under this name, or they cannot be downloaded; the message
            says how to provide the file.
    """
    import timm

    try:
        published = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        published = None
    if published is None or not published.hf_hub_id:
        tagged = timm.list_pretrained(name.split(".")[0] + ".*")
        raise SwtformerError(
            f"No pretrained weights are published for backbone {name!r}: give model.weights none or a "
            "local file." + (f" {nearest(name, tagged)}" if tagged else "")
        )
    return fetched(published.hf_hub_id, published.hf_hub_filename or "model.safetensors", name=name)


def fetched(repository: str, file: str, *, name: str, revision: str | None = None) -> Path:
    """A file of the hub, downloaded unless it is cached.

    Args:
        repository: "owner/name".
        file: its name there.
        name: name of the network, for messages.
        revision: commit; the newest if None.

    Raises:
        SwtformerError: it cannot be downloaded; the message says how to provide the file.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    cached = try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    by_hand = (
        f"Download {file} from {constants.ENDPOINT}/{repository} on a machine with network access, copy it "
        f"here as {name}{Path(file).suffix}, and give model.weights {name}{Path(file).suffix}; or train "
        "from random weights with model.weights none."
    )
    if constants.HF_HUB_OFFLINE or not answers(constants.ENDPOINT):
        raise SwtformerError(
            f"The pretrained weights of backbone {name!r} are not on this machine and {constants.ENDPOINT} "
            f"cannot be reached. {by_hand}"
        )
    try:
        fetched = hf_hub_download(
            repository,
            file,
            cache_dir=constants.HF_HUB_CACHE,
            revision=revision,
            etag_timeout=PROBE_SECONDS,
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SwtformerError(
            f"The pretrained weights of backbone {name!r} cannot be downloaded: {reason} {by_hand}"
        ) from None
    return Path(fetched)


def answers(address: str) -> bool:
    """Whether a web server answers within `PROBE_SECONDS`; one try, through the proxy if one is set."""
    request = urllib.request.Request(address, method="HEAD")
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            pass
        except OSError:
            return
        answered.set()

    # A thread of its own, as the look-up of a name has no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return answered.is_set()


def load_into(
    module: nn.Module,
    weights: str,
    *,
    name: str,
    rename: Callable[[dict[str, Tensor]], Mapping[str, Tensor]],
) -> None:
    """Load the weights that a setting names into a new network.

    Args:
        module: the network, with random weights.
        weights: "none" (keep the random ones), "pretrained" (download by `name`) or a path.
        name: timm name of the network.
        rename: maps published tensor names to the module's, and drops unneeded tensors.

    Raises:
        SwtformerError: the weights are not available.
        CheckpointError: the file is damaged, unsafe or made for another network.
    """
    if weights == "none":
        return
    path = pretrained_file(name) if weights == "pretrained" else Path(weights)
    fill(module, _for_bands(module, rename(read_tensors(path))), source=str(path), network=name)


def _for_bands(module: nn.Module, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors whose first convolution fits a module of other bands than red, green and blue.

    As timm does: each band takes the weights of red, green or blue in turn, scaled so that activations keep
    their size.
    """
    from timm.models import adapt_input_conv

    expected = module.state_dict()
    fitted = dict(tensors)
    for name, tensor in tensors.items():
        shape = expected[name].shape if name in expected else tensor.shape
        reads_rgb = tensor.ndim == 4 and tensor.shape[1] == 3 and tensor.shape[0] == shape[0]
        if reads_rgb and shape[1] != 3 and tensor.shape[2:] == shape[2:]:
            fitted[name] = adapt_input_conv(shape[1], tensor)
    return fitted
