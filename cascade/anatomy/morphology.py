"""Shapes of masks: connected components in 3D, and slices that are eroded, grown or opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cc3d
import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Kernel = NDArray[np.uint8]
Connectivity = Literal[6, 18, 26]
"""Neighbours of a voxel: those that share a face; an edge too; a corner too."""

SQUARE: Kernel = np.ones((3, 3), np.uint8)
"""A point of a slice with its eight neighbours."""


def components(
    mask: Mask, connectivity: Connectivity = 26
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
    """The connected components of a mask `[z, y, x]`.

    Returns:
        The number of each voxel's component `[z, y, x]`, 0 outside the mask, and the voxels of each number; 0 of 0.
    """
    labels: NDArray[np.unsignedinteger[Any]] = cc3d.connected_components(mask, connectivity=connectivity)
    sizes = np.bincount(labels.ravel(), minlength=1).astype(np.int64)
    sizes[0] = 0
    return labels, sizes


def largest(mask: Mask, connectivity: Connectivity = 26) -> Mask:
    """The largest component of a mask `[z, y, x]`, the first by number of several; empty where the mask is.

    cc3d's `largest_k` says nothing of several of one size.
    """
    labels, sizes = components(mask, connectivity)
    return np.asarray((labels == sizes.argmax()) & mask)


def component_at(mask: Mask, point: Sequence[int], connectivity: Connectivity = 6) -> Mask:
    """The component of a mask `[z, y, x]` that a voxel (z, y, x) lies in; empty where it lies outside."""
    labels, _ = components(mask, connectivity)
    return np.asarray((labels == labels[tuple(point)]) & mask[tuple(point)])


def disc(radius: int) -> Kernel:
    """A disc to erode or open with, points."""
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def erode(mask: Mask, radius: int) -> Mask:
    """Each slice of `[z, y, x]` eroded by a disc; the edge of the picture erodes nothing."""
    return np.stack(
        [
            cv2.erode(plane.astype(np.uint8), disc(radius), borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
            for plane in mask
        ]
    )


def grown(plane: Mask, kernel: Kernel = SQUARE) -> Mask:
    """The mask of a slice `[y, x]`, grown by the kernel."""
    return np.asarray(cv2.dilate(plane.astype(np.uint8), kernel) > 0)


def opened(mask: Mask, kernel: Kernel) -> Mask:
    """Each slice of `[z, y, x]` opened: parts that do not hold the kernel are gone."""
    return np.stack([cv2.morphologyEx(plane.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0 for plane in mask])
