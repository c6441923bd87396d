"""How a training from nothing begins: every class as likely as any other."""

from __future__ import annotations

from torch import nn

from models.sfcnet.network import SFCNet

_SMALL = 0.01


def begin_even(network: SFCNet) -> None:
    """Let the first logits of the segmentation be next to nothing.

    The classifier of the fusion is a sum over six outputs. Drawn as convolutions before a ReLU are,
    its logits differ by 4 to 8 from pixel to pixel before anything is learnt (those of other
    networks by 0.3), and a training is busy for its first hundred steps with taking that back.
    """
    if network.segmentation is None:
        return
    for classifier in network.segmentation.fusion.classifier:
        if isinstance(classifier, nn.Conv2d):
            nn.init.normal_(classifier.weight, std=_SMALL)
            if classifier.bias is not None:
                nn.init.zeros_(classifier.bias)
