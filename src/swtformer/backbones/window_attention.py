"""Self-attention inside (shifted) windows of a grid of any size; `swin` describes the handling of odd sizes.

Without gradients, bands of window rows are processed one after the other, so that a large image needs little
more memory than its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS_AT_ONCE = 2**15
"""Tokens processed together without gradients; a single row of windows may be more."""


def tokens_at_once(tokens: Tensor) -> int:
    """`TOKENS_AT_ONCE`; 16 times as many on an accelerator, where starting many small kernels costs more."""
    return TOKENS_AT_ONCE if tokens.device.type == "cpu" else 16 * TOKENS_AT_ONCE


def goes_in_parts(module: nn.Module) -> bool:
    """Whether a module processes tokens in parts: not with gradients, which keep all of them anyway.

    Nor in a traced graph, where the number of parts would depend on the size of the image.
    """
    return not (module.training or torch.is_grad_enabled() or torch.compiler.is_exporting())


class WindowAttention(nn.Module):
    """Self-attention inside windows of a grid, with a learned bias per relative position and head."""

    def __init__(self, width: int, *, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self._bias_cache: tuple[object, Tensor] | None = None  # (key, bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend inside windows.

        Args:
            tokens: (B, h, w, width) on any grid.

        Returns:
            (B, h, w, width).
        """
        batch, height, width = tokens.shape[:3]
        rows, columns = _Side.of(height, self.window, self.shift), _Side.of(width, self.window, self.shift)
        if rows.padding or columns.padding:
            tokens = F.pad(tokens, (0, 0, 0, columns.padding, 0, rows.padding))
        if rows.shift or columns.shift:
            tokens = tokens.roll((-rows.shift, -columns.shift), dims=(1, 2))

        band = rows.padded
        if goes_in_parts(self):
            at_once = tokens_at_once(tokens)
            band = max(at_once // (batch * rows.window * columns.padded), 1) * rows.window
        bands = [
            self._attend(part, rows, columns, rows.regions[first * band : (first + 1) * band])
            for first, part in enumerate(tokens.split(band, dim=1))
        ]
        tokens = torch.cat(bands, dim=1) if len(bands) > 1 else bands[0]
        if rows.shift or columns.shift:
            tokens = tokens.roll((rows.shift, columns.shift), dims=(1, 2))
        return tokens[:, :height, :width]

    def _attend(self, tokens: Tensor, rows: _Side, columns: _Side, regions: tuple[int, ...]) -> Tensor:
        """Attend inside the windows of a band (B, n, w, width); `regions` belong to its n rows."""
        batch, height, width, channels = tokens.shape
        area = rows.window * columns.window
        cut = (batch, height // rows.window, columns.count)
        windows = tokens.reshape(batch, cut[1], rows.window, columns.count, columns.window, channels)
        windows = windows.transpose(2, 3).reshape(-1, area, channels)
        projected = self.qkv(windows).view(-1, area, 3, self.heads, channels // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self._relative_position_bias(rows.window, columns.window, query.dtype)
        if any((*regions, *columns.regions)):
            shape = (rows.window, columns.window)
            mask = _region_mask(regions, columns.regions, shape, query.dtype, query.device)
            bias = bias + mask
        attended = attend(query, key, value, bias)
        windows = self.proj(attended.transpose(1, 2).reshape(-1, area, channels))
        windows = windows.view(*cut, rows.window, columns.window, channels)
        band: Tensor = windows.transpose(2, 3).reshape(batch, height, width, channels)
        return band

    def _relative_position_bias(self, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """(1, heads, area, area) bias; cached when the table needs no gradient."""
        table = self.relative_position_bias_table
        index = _relative_position_index(height, width, self.window, table.device)
        if torch.is_grad_enabled() and table.requires_grad:
            return table[index].permute(2, 0, 1)[None].to(dtype)
        state = (height, width, dtype, table.device, table.data_ptr(), table._version)
        if self._bias_cache is None or self._bias_cache[0] != state:
            with torch.inference_mode(mode=False):
                bias = table.detach()[index].permute(2, 0, 1)[None].to(dtype).contiguous()
            self._bias_cache = (state, bias)
        return self._bias_cache[1]

    def train(self, mode: bool = True) -> WindowAttention:
        """Switch between training and evaluation, and clear the cached bias."""
        super().train(mode)
        self._bias_cache = None
        return self


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(q kᵀ / √d + bias) v in every window.

    PyTorch's fused attention gives no gradient of a bias on a CPU. What it falls back to there computes in
    float32 and takes longer than plain products, which round scores as autocast rounds all products.

    Args:
        query, key, value: (B·windows, heads, area, d), image by image.
        bias: (windows, heads, area, area), or (1, …) for all windows.

    Returns:
        (B·windows, heads, area, d).
    """
    images = len(query) // len(bias)
    if bias.requires_grad and bias.device.type == "cpu":
        scores = (query * query.shape[-1] ** -0.5) @ key.mT
        shares = (scores.unflatten(0, (images, len(bias))) + bias).softmax(-1)
        attended: Tensor = shares.flatten(0, 1) @ value
        return attended
    if len(bias) > 1:
        bias = bias.expand(images, -1, -1, -1, -1).flatten(0, 1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


@dataclass(frozen=True)
class _Side:
    """How one side of a grid is divided into windows.

    Attributes:
        length: tokens along the side.
        window: tokens of a window along the side.
        shift: shift of the windows, in tokens.
    """

    length: int
    window: int
    shift: int

    @classmethod
    def of(cls, length: int, window: int, shift: int) -> _Side:
        """A side that fits in one window is one window of its length, without a shift."""
        return cls(length, window, shift) if length > window else cls(length, length, 0)

    @property
    def padding(self) -> int:
        """Tokens to add so that windows fit."""
        return -self.length % self.window

    @property
    def padded(self) -> int:
        """Tokens with padding."""
        return self.length + self.padding

    @property
    def count(self) -> int:
        """Number of windows."""
        return self.padded // self.window

    @property
    def regions(self) -> tuple[int, ...]:
        """Region of every rolled token: -1 for padding, 1 if rolled over from the other end, else 0."""
        unrolled = ((place + self.shift) % self.padded for place in range(self.padded))
        return tuple(-1 if place >= self.length else int(place < self.shift) for place in unrolled)


# Cached tensors are made outside inference mode; those made inside could not be used in training.
@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _region_mask(
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    window: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """(windows, 1, area, area): 0 between tokens of one region, minus infinity elsewhere.

    Tokens of one region lie together in the unrolled grid. All padding is one region, so no row is empty.

    Args:
        rows: regions of the rows, see `_Side.regions`.
        columns: regions of the columns.
        window: rows and columns of a window.
        dtype: of the mask.
        device: of the mask.
    """
    of_rows, of_columns = torch.tensor(rows)[:, None], torch.tensor(columns)[None, :]
    region = (2 * of_rows + of_columns).where((of_rows >= 0) & (of_columns >= 0), -1)
    region = region.view(len(rows) // window[0], window[0], len(columns) // window[1], window[1])
    region = region.transpose(1, 2).flatten(0, 1).flatten(1)[:, None]
    apart = region[..., :, None] != region[..., None, :]
    return torch.zeros(apart.shape, dtype=dtype).masked_fill(apart, -torch.inf).to(device)


@lru_cache(maxsize=64)
@torch.inference_mode(mode=False)
def _relative_position_index(height: int, width: int, window: int, device: torch.device) -> Tensor:
    """Row of the (2·window-1)² bias table for each token pair of a height×width window: (area, area)."""
    grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).flatten(1)
    offset = grid[:, :, None] - grid[:, None, :] + window - 1
    return (offset[0] * (2 * window - 1) + offset[1]).to(device)
