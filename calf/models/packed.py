"""Lays a model's matrices out as oneDNN reads them fastest, once instead of at every product."""

from __future__ import annotations

from typing import Any

__all__ = ["pack_linear"]

_PROBE_TOKENS = 16
_AGREES = 1e-3  # of the vectors' largest number; float32 in another order of summation is far below


def pack_linear(model: Any) -> bool:
    """Puts oneDNN's packed product in the place of the linear layers of an encoder that works in float32 on a CPU.

    On processors where MKL is not at its best the products take a fifth less time. torch has this for compiled models
    only, so the model stays as it is where the operation is missing or the vectors of a probe are not the same.

    Args:
        model: takes token ids and an attention mask, and gives the last layer's vectors first.

    Returns:
        Whether it was done.
    """
    import torch

    mkldnn: Any = torch.backends.mkldnn  # untyped functions
    if not mkldnn.is_available():
        return False
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear and child.weight.dtype == torch.float32
    ]
    try:
        expected = _probe(model)
        for parent, name, child in found:
            setattr(parent, name, _packed(child))
        vectors = _probe(model)
        agrees = bool((vectors - expected).abs().max() <= _AGREES * expected.abs().max())
    except Exception:  # of another version of torch, or a model that looks at its layers' weights: anything may come
        agrees = False
    if not agrees:
        for parent, name, child in found:
            setattr(parent, name, child)
    return agrees


def _packed(linear: Any) -> Any:
    import torch

    operations: Any = torch.ops.mkldnn

    class Packed(torch.nn.Module):
        """A linear layer; its weights are in a layout of their own."""

        def __init__(self) -> None:
            super().__init__()
            self.packed = operations._reorder_linear_weight(linear.weight.detach())
            self.bias = linear.bias

        def forward(self, vectors: Any) -> Any:
            return operations._linear_pointwise(vectors, self.packed, self.bias, "none", [], "")

    return Packed()


def _probe(model: Any) -> Any:
    import torch

    ids = torch.arange(_PROBE_TOKENS).unsqueeze(0)
    with torch.inference_mode():
        return model(ids, attention_mask=torch.ones_like(ids))[0]
