"""How like those of patients simulated emboli are: how much there is of them, in how many pieces, over what height.

Figures of masks alone. Both sides are measured in the same way, and simulated ones on slices of the same distance.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cascade.anatomy.morphology import components
from cascade.core.errors import InputError
from cascade.core.files import write_whole
from cascade.simulation import Simulation, load, outline

SMALLEST_ML = 0.01
"""Components below it are pixels at the edge of a reader's mask; they are in the volume and not counted."""
QUANTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Burden:
    """The emboli of one scan.

    Attributes:
        volume_ml: Of all of them.
        components: Pieces of at least `SMALLEST_ML` (26 neighbours).
        extent_mm: From the lowest slice with embolus to the highest, both included.
    """

    volume_ml: float
    components: int
    extent_mm: float


def burden(mask: NDArray[np.bool_], spacing: Sequence[float]) -> Burden | None:
    """Measure a mask `[z, y, x]` with its spacing (z, y, x) in mm; None where it is empty."""
    slices = np.flatnonzero(mask.any((1, 2)))
    if not slices.size:
        return None
    voxel_ml = float(np.prod(spacing)) / 1000
    volumes = components(mask)[1][1:] * voxel_ml
    extent = float(slices[-1] - slices[0] + 1) * spacing[0]
    return Burden(float(volumes.sum()), int((volumes >= SMALLEST_ML).sum()), extent)


def of_patients(masks: Iterable[Path]) -> Iterator[tuple[str, Burden]]:
    """Each reader's mask (NIfTI) that is not empty, with its name.

    Raises:
        InputError: E_BAD_MASK, a file is no mask.
    """
    import nibabel

    for path in masks:
        try:
            image: Any = nibabel.load(path)
            voxels = np.asarray(image.dataobj)
            spacing = [float(side) for side in image.header.get_zooms()[:3]]
        except (OSError, ValueError, EOFError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
            raise InputError("E_BAD_MASK", f"{path} cannot be read ({error}); give NIfTI masks of emboli") from error
        if voxels.ndim != 3:
            raise InputError("E_BAD_MASK", f"{path} has {voxels.ndim} dimensions; give masks of three")
        # The axis that runs along the patient: the one whose direction has the largest share of z.
        height = int(np.argmax(np.abs(image.affine[2, :3])))
        measured = burden(np.moveaxis(voxels > 0, height, 0), [spacing[height], *np.delete(spacing, height)])
        if measured is not None:
            yield path.name.removesuffix(".nii.gz").removesuffix(".nii"), measured


def simulated(seeds: Iterable[int], anatomies: Sequence[Path], slice_mm: float) -> Iterator[tuple[int, Burden]]:
    """The emboli of simulated studies with emboli, on slices of one distance; where none found room is left out.

    Args:
        seeds: One study each.
        anatomies: Label maps that take turns; procedural ones without any.
        slice_mm: Distance of slices, as in the masks that they are compared with.
    """
    config = replace(Simulation(), positive=1.0, slice_mm=(slice_mm,), slice_weights=(1.0,))
    for seed in seeds:
        numbers, spacing = outline(config, seed, load(anatomies[seed % len(anatomies)]) if anatomies else None)
        measured = burden(numbers > 0, spacing)
        if measured is not None:
            yield seed, measured


def compare(real: Sequence[Burden], made: Sequence[Burden]) -> list[Mapping[str, Any]]:
    """Quantiles side by side and the p of a two-sample Kolmogorov-Smirnov test, a row a figure and side."""
    rows: list[Mapping[str, Any]] = []
    for name in asdict(real[0]):
        columns = {
            side: np.array([getattr(one, name) for one in some]) for side, some in (("real", real), ("simulated", made))
        }
        p = float(stats.ks_2samp(columns["real"], columns["simulated"]).pvalue)
        for side, values in columns.items():
            quantiles = {f"{q} %": float(np.percentile(values, q)) for q in QUANTILES}
            rows.append({"figure": name, "side": side, "scans": len(values), **quantiles, "KS p": p})
    return rows


def draw(real: Sequence[Burden], made: Sequence[Burden], path: Path) -> None:
    """The share of scans up to each value, real and simulated, as a PNG."""
    from matplotlib.figure import Figure

    titles = {"volume_ml": "embolus, ml", "components": "components", "extent_mm": "from lowest to highest slice, mm"}
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axis, (name, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for side, some in (("patients", real), ("simulated", made)):
            axis.ecdf([getattr(one, name) for one in some], label=f"{side} ({len(some)})")
        axis.set(xlabel=title, ylabel="share of scans", xscale="linear" if name == "extent_mm" else "log")
        axis.legend()
    write_whole(path, lambda file: figure.savefig(file, dpi=110, format="png"))
