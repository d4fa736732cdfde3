r"""Fused attention, written out.

.. math:: \operatorname{softmax}(s\, Q K^\top + M)\, V, \qquad s = 1/\sqrt{d} \text{ by default}

PyTorch's fused kernels have neither a forward-mode derivative nor a rule for power series. A row
whose keys are all masked gives zero, as the kernels do, and a derivative of zero. Derived.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["attention"]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention in elementary operations.

    The arguments are those of ``torch.nn.functional.scaled_dot_product_attention``.

    Returns
    -------
    Tensor, shape (..., queries, value dimension)

    Examples
    --------
    >>> q, k, v = torch.ones(1, 3, 4), torch.ones(1, 5, 4), torch.ones(1, 5, 2)
    >>> attention(q, k, v).shape
    torch.Size([1, 3, 2])
    """
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = (
        query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    )
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    alive = None
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        alive = attn_mask.any(-1, keepdim=True)
        scores = torch.where(attn_mask | ~alive, scores, -math.inf)
    elif attn_mask is not None:
        alive = (attn_mask != -math.inf).any(-1, keepdim=True)
        scores = scores + torch.where(alive, attn_mask, 0)
    pattern = scores.softmax(-1)
    if alive is not None:
        pattern = torch.where(alive, pattern, 0)
    if dropout_p:
        pattern = functional.dropout(pattern, dropout_p)
    return pattern @ value
