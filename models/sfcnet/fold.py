"""Folds normalisation into convolutions at export, and activations into them at loading."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

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


_INPUTS = "%x, %w, %b, %stride, %padding, %rate, %groups"
_PLAIN = f"""graph({_INPUTS}):
    %y = aten::conv2d({_INPUTS})
    %z = aten::relu_(%y)
    return (%z)"""

_BARE = f"""graph({_INPUTS}):
    %y = aten::conv2d({_INPUTS})
    return (%y)"""

_FUSED = f"""graph({_INPUTS}):
    %name : str = prim::Constant[value="relu"]()
    %none : str = prim::Constant[value=""]()
    %list : Scalar?[] = prim::ListConstruct()
    %z = mkldnn::_convolution_pointwise(
        %x, %w, %b, %padding, %stride, %rate, %groups, %name, %list, %none)
    return (%z)"""
_BARE_FUSED = _FUSED.replace('value="relu"', 'value="none"')

# Squeeze-excitation before a convolution: the few weights are scaled, not the picture. One picture.
_EXCITED = f"""graph({_INPUTS}, %scale):
    %s = aten::mul(%x, %scale)
    %y = aten::conv2d(%s, %w, %b, %stride, %padding, %rate, %groups)
    return (%y)"""
_EXCITED_FUSED = f"""graph({_INPUTS}, %scale):
    %s = aten::mul(%w, %scale)
    %y = aten::conv2d(%x, %s, %b, %stride, %padding, %rate, %groups)
    return (%y)"""

# The network's additions are plain ones: %one, the factor of the second addend, is always 1.
_SKIP = f"""graph({_INPUTS}, %other, %one):
    %y = aten::conv2d({_INPUTS})
    %s = aten::add(%y, %other, %one)
    %z = aten::relu_(%s)
    return (%z)"""
_SKIP_SWAPPED = _SKIP.replace("aten::add(%y, %other, %one)", "aten::add(%other, %y, %one)")
_SKIP_FUSED = f"""graph({_INPUTS}, %other, %one):
    %add : str = prim::Constant[value="add"]()
    %relu : str = prim::Constant[value="relu"]()
    %none : NoneType = prim::Constant()
    %alpha : float = prim::Constant[value=1.0]()
    %list : Scalar?[] = prim::ListConstruct()
    %z = mkldnn::_convolution_pointwise(
        %x, %other, %w, %b, %padding, %stride, %rate, %groups, %add, %alpha, %relu, %list, %none)
    return (%z)"""


def fuse_activations(frozen: torch.jit.ScriptModule) -> None:
    """Merge convolutions with the ReLU, and the skip connection, after them; in place.

    On a processor only. A narrow network is bound by memory, and each merger saves a pass over it:
    lite takes 37.2 ms of one core instead of 44.6 at 640x480 in bfloat16. The operator is oneDNN's;
    where this build of torch lacks it, nothing happens.
    """
    if not torch.backends.mkldnn.is_available():
        return
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return
    rewrite = torch._C._jit_pass_custom_pattern_based_rewrite_graph  # noqa: SLF001
    for source, target in (
        (_EXCITED, _EXCITED_FUSED),
        (_SKIP, _SKIP_FUSED),
        (_SKIP_SWAPPED, _SKIP_FUSED),
        (_PLAIN, _FUSED),
        (_BARE, _BARE_FUSED),
    ):
        rewrite(source, target, frozen.graph)
    if hasattr(torch.ops.mkldnn, "_reorder_convolution_weight"):
        _pack_weights(frozen.graph)


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)


def _pack_weights(graph: Any) -> None:
    """Lay weights out once as oneDNN wants them, not at each frame: 2 of 27 ms of one core."""
    for node in list(_nodes(graph)):
        if node.kind() != "mkldnn::_convolution_pointwise":
            continue
        # With a skip connection the second input is what is added.
        inputs = list(node.inputs())
        at = 2 if len(inputs) == 13 else 1
        weight = inputs[at].toIValue()
        padding, stride, rate, groups = (inputs[at + k].toIValue() for k in range(2, 6))
        # The layout is chosen without knowing the picture's size, and is a bad one for some. A
        # dilated convolution takes 1.6 ms instead of 0.13 as soon as it has two threads; one
        # without padding whose kernel is as large as its picture, as in the class head, 6.3 instead
        # of 0.1; one of stride 2 from 64 to 96 channels, without AMX, 4.0 instead of 0.7.
        unpadded = weight is not None and max(padding) == 0 and max(weight.shape[2:]) > 1
        if weight is None or max(rate) > 1 or max(stride) > 1 or unpadded:
            continue
        packed = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
            weight.detach(), padding, stride, rate, groups, None
        )
        constant = graph.create("prim::Constant", 1)
        constant.t_("value", packed)
        constant.insertBefore(node)
        node.replaceInput(at, constant.output())
