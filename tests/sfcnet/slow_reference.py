"""Slow and obvious versions of the network's own operations."""

from __future__ import annotations

import numpy as np


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0.0) * max(height, 0.0)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / max(area, 1e-6)


def greedy_nms(boxes, limit):
    """Say which of the boxes, best first, survive."""
    keep = []
    for k, box in enumerate(boxes):
        if all(iou(boxes[j], box) <= limit for j in keep):
            keep.append(k)
    mask = np.zeros(len(boxes), bool)
    mask[keep] = True
    return mask


def bilinear(feature, y, x):
    """Sample (C, H, W) at a point; outside, the border's value."""
    height, width = feature.shape[1:]
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    return (
        (1 - v) * (1 - u) * feature[:, top, left]
        + (1 - v) * u * feature[:, top, right]
        + v * (1 - u) * feature[:, bottom, left]
        + v * u * feature[:, bottom, right]
    )


def roi_align(features, strides, boxes, levels, size, samples):
    """Pool boxes (N, 4) in image coordinates, bin by bin, sample by sample: (N, size**2, C)."""
    out = np.zeros((len(boxes), size * size, features[0].shape[0]))
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        feature, stride = features[levels[n]], strides[levels[n]]
        for row in range(size):
            for column in range(size):
                total = 0.0
                for i in range(samples):
                    for j in range(samples):
                        y = y0 + (y1 - y0) * (row + (i + 0.5) / samples) / size
                        x = x0 + (x1 - x0) * (column + (j + 0.5) / samples) / size
                        total = total + bilinear(
                            feature, (y + 0.5) / stride - 0.5, (x + 0.5) / stride - 0.5
                        )
                out[n, row * size + column] = total / samples**2
    return out
