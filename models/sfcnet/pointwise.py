"""Joins convolutions with the ReLU and the addition that follow them, on a processor.

A narrow network is bound by memory, not by arithmetic: each ReLU and each addition of a skip
connection reads and writes the whole tensor once more. oneDNN does both while it writes the
convolution's result. Measured on the lite variant, bfloat16, one thread, 640x480: 47.8 ms without,
41 ms with the ReLU joined (process time, minimum of 40 frames).
"""

from __future__ import annotations

import torch

_ARGUMENTS = "%x, %w, %b, %stride, %padding, %dilation, %groups"
_CONVOLUTION = f"%y = aten::conv2d({_ARGUMENTS})"


def _pattern(*lines: str, inputs: str = _ARGUMENTS) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"graph({inputs}):\n{body}\n  return (%z)"


def _relu_patterns() -> list[tuple[str, str]]:
    joined = _pattern(
        '%what : str = prim::Constant[value="relu"]()',
        "%none : NoneType = prim::Constant()",
        "%scalars : Scalar?[] = prim::ListConstruct()",
        "%z = mkldnn::_convolution_pointwise("
        "%x, %w, %b, %padding, %stride, %dilation, %groups, %what, %scalars, %none)",
    )
    return [
        (_pattern(_CONVOLUTION, f"%z = aten::{relu}(%y)"), joined) for relu in ("relu_", "relu")
    ]


def _add_relu_patterns() -> list[tuple[str, str]]:
    # The additions of the network are all plain: %one, their factor, is always 1.
    inputs = _ARGUMENTS + ", %other, %one"
    joined = _pattern(
        '%add : str = prim::Constant[value="add"]()',
        '%relu : str = prim::Constant[value="relu"]()',
        "%none : NoneType = prim::Constant()",
        "%alpha : float = prim::Constant[value=1.0]()",
        "%scalars : Scalar?[] = prim::ListConstruct()",
        "%z = mkldnn::_convolution_pointwise("
        "%x, %other, %w, %b, %padding, %stride, %dilation, %groups, "
        "%add, %alpha, %relu, %scalars, %none)",
        inputs=inputs,
    )
    patterns = []
    for order in ("%other, %y", "%y, %other"):
        for relu in ("relu_", "relu"):
            source = _pattern(
                _CONVOLUTION,
                f"%s = aten::add({order}, %one)",
                f"%z = aten::{relu}(%s)",
                inputs=inputs,
            )
            patterns.append((source, joined))
    return patterns


def available() -> bool:
    """Tell whether this build of torch has the joined operations."""
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_convolution_pointwise"
    )


def joined(model: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Rewrite the graph of a frozen ``model`` in place and return it.

    Values change by rounding only. A model for a GPU must not be given: the operations exist on
    processors alone. Without them the model is returned as it is.
    """
    if available():
        for source, target in [*_add_relu_patterns(), *_relu_patterns()]:
            torch._C._jit_pass_custom_pattern_based_rewrite_graph(  # noqa: SLF001
                source, target, model.graph
            )
    return model
