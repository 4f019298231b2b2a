"""Networks without branches on the image size, for exporters that trace them once for all sizes.

`swin` and `window_attention` decide by the grid whether to pad, to shift, and how many windows there are;
torch's adaptive pooling chooses its cells. A traced graph would keep the decisions of its example. The
modules here compute the same by arithmetic alone. They are slower, and for export only.
"""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swtformer.backbones.swin import PATCH_PX, PatchEmbed, PatchMerging
from swtformer.backbones.window_attention import WindowAttention


def without_size_branches(model: nn.Module) -> nn.Module:
    """A copy of a network, in eval mode, that handles all sizes with the same operations.

    Parts of this package's Swin and adaptive mean pooling are replaced; everything else is copied.
    """
    copy = deepcopy(model)
    replacements: dict[type[nn.Module], type[nn.Module]] = {
        WindowAttention: _AnySizeAttention,
        PatchEmbed: _AnySizePatchEmbed,
        PatchMerging: _AnySizeMerging,
        nn.AdaptiveAvgPool2d: _AnySizePooling,
    }
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if type(child) in replacements:
                setattr(module, name, replacements[type(child)](child))
    return copy.eval()


class _AnySizePatchEmbed(nn.Module):
    def __init__(self, original: PatchEmbed) -> None:
        super().__init__()
        self.proj, self.norm = original.proj, original.norm

    def forward(self, images: Tensor) -> Tensor:
        images = _filled(_filled(images, 2, PATCH_PX), 3, PATCH_PX)
        tokens: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return tokens


class _AnySizeMerging(nn.Module):
    def __init__(self, original: PatchMerging) -> None:
        super().__init__()
        self.norm, self.reduction = original.norm, original.reduction

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = _filled(_filled(tokens, 1, 2), 2, 2)
        # In the order of `PatchMerging`: rows vary faster than columns.
        corners = [tokens[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged


class _AnySizeAttention(nn.Module):
    """Pads each side to whole windows; padding is masked, and a side that fits one window is not shifted."""

    def __init__(self, original: WindowAttention) -> None:
        super().__init__()
        self.heads, self.window, self.shift = original.heads, original.window, original.shift
        self.qkv, self.proj = original.qkv, original.proj
        position = torch.stack(
            torch.meshgrid(torch.arange(self.window), torch.arange(self.window), indexing="ij")
        ).flatten(1)
        offset = position[:, :, None] - position[:, None, :] + self.window - 1
        index = offset[0] * (2 * self.window - 1) + offset[1]
        bias = original.relative_position_bias_table.detach()[index.to(original.qkv.weight.device)]
        self.bias: Tensor
        self.register_buffer("bias", bias.permute(2, 0, 1).contiguous())

    def forward(self, tokens: Tensor) -> Tensor:
        batch, height, width, channels = tokens.shape
        window, area = self.window, self.window**2
        rows, columns = _windows(height, window), _windows(width, window)
        tokens = F.pad(tokens, (0, 0, 0, columns * window - width, 0, rows * window - height))
        row_places = self._places(height, self._shift(height), tokens.device)
        column_places = self._places(width, self._shift(width), tokens.device)
        tokens = tokens.index_select(1, row_places).index_select(2, column_places)

        windows = tokens.reshape(batch, rows, window, columns, window, channels)
        windows = windows.transpose(2, 3).reshape(batch * rows * columns, area, channels)
        projected = self.qkv(windows).view(-1, area, 3, self.heads, channels // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        region = self._regions(row_places, column_places, height, width)
        region = region.reshape(rows, window, columns, window).transpose(1, 2).reshape(rows * columns, area)
        apart = region[:, None, :, None] != region[:, None, None, :]
        bias = torch.where(apart, -torch.inf, self.bias.to(query.dtype))
        bias = bias[None].expand(batch, -1, -1, -1, -1).flatten(0, 1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        windows = self.proj(attended.transpose(1, 2).reshape(-1, area, channels))

        tokens = windows.view(batch, rows, columns, window, window, channels).transpose(2, 3)
        tokens = tokens.reshape(batch, rows * window, columns * window, channels)
        back_rows = self._places(height, -self._shift(height), tokens.device)
        back_columns = self._places(width, -self._shift(width), tokens.device)
        return tokens.index_select(1, back_rows[:height]).index_select(2, back_columns[:width])

    def _shift(self, length: int) -> int:
        """0 if the side fits one window, else the block's shift."""
        return self.shift * cast(int, torch.sym_min(1, (length - 1) // self.window))

    def _places(self, length: int, shift: int, device: torch.device) -> Tensor:
        """Source of each place after the padded side is rolled back by `shift`."""
        padded = _windows(length, self.window) * self.window
        places = torch.arange(padded, device=device) + shift
        # Not a remainder, which ONNX lacks for divisors known only at run time.
        places = torch.where(places < 0, places + padded, places)
        return torch.where(places < padded, places, places - padded)

    def _regions(self, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
        """(padded height, padded width) region of each token; padding is region -1."""
        wrapped = 2 * (rows < self._shift(height)).int()[:, None] + (columns < self._shift(width)).int()[None]
        return wrapped.where((rows < height)[:, None] & (columns < width)[None], -1)


class _AnySizePooling(nn.Module):
    """Adaptive mean pooling as a product with one averaging matrix per axis."""

    def __init__(self, original: nn.AdaptiveAvgPool2d) -> None:
        super().__init__()
        size = original.output_size
        self.rows, self.columns = size if isinstance(size, tuple) else (size, size)

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        return _averaging(self.rows, height, maps) @ maps @ _averaging(self.columns, width, maps).T


def _averaging(cells: int | None, length: int, like: Tensor) -> Tensor:
    """(cells, length) matrix of the means of places ⌊i·length/cells⌋ to ⌈(i+1)·length/cells⌉ - 1.

    As in torch, cells may overlap, and `None` keeps the length.
    """
    cells = length if cells is None else cells
    edges = torch.arange(cells + 1, device=like.device) * length
    starts, ends = edges[:-1] // cells, (edges[1:] + cells - 1) // cells
    places = torch.arange(length, device=like.device)
    inside = (places >= starts[:, None]) & (places < ends[:, None])
    return inside.to(like.dtype) / (ends - starts)[:, None].to(like.dtype)


def _windows(length: int, window: int) -> int:
    """Number of windows that cover a side; not by -(-a // b), as ONNX rounds towards 0."""
    return (length + window - 1) // window


def _filled(maps: Tensor, axis: int, multiple: int) -> Tensor:
    """Repeat the last row or column until the axis is a multiple."""
    length = maps.shape[axis]
    places = torch.arange(_windows(length, multiple) * multiple, device=maps.device)
    return maps.index_select(axis, places.clamp(max=length - 1))
