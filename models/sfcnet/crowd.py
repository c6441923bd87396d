"""What the proposals of a picture say of how crowded it is, and what follows from that."""

from __future__ import annotations

import torch
from torch import Tensor


def room_for(objectness: Tensor, before: int, most: int) -> Tensor:
    """Return how many anchors of a picture are to be looked at: ``before``, in a crowd more.

    A head has seven or eight anchors that are likelier a head than not (logit above 0). While
    ``before`` have room for all of these, heads that are hard to see find room behind them. In a
    crowd they do not: each likely anchor beyond ``before`` takes its own place and brings two
    more, up to ``most``. There is no step, so that no head comes and goes with one anchor.

    Parameters
    ----------
    objectness : (N,) tensor
        Logits of all anchors.
    before, most : int

    Returns
    -------
    scalar int64 tensor
    """
    likely = torch.count_nonzero(objectness > 0.0)
    return (before + 3 * (likely - before)).clamp(before, max(before, most))


def prior_logit(room: Tensor, before: int, most: int) -> Tensor:
    """Return what is added to the logit of each proposal: 0, in a full crowd 1.6.

    The second stage has learned how often a proposal is a head where some 30 are about. Where five
    times as many are, and no more that looks like one, the odds of each are five times as high
    (Bayes; Saerens, Latinne and Decaestecker, 2002).
    """
    return 1.6 * (room - before) / max(most - before, 1)
