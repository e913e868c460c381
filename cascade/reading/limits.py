"""Every limit of the reader in one place; what exceeds one is refused by its name, never read in part."""

from __future__ import annotations

from cascade.core.errors import InputError

MAX_FILES = 20_000
MAX_DEPTH = 20
MAX_SIDE = 4096
MAX_FRAMES = 10_000
MAX_SLICES = 5_000
MAX_VOXELS = 1_500_000_000

# Below these a volume is no chest; smaller ones are read only where asked for.
MINIMUM_SLICES = 4
MINIMUM_FIELD_MM = 100.0
MINIMUM_HEIGHT_MM = 40.0
SMALL_FIELD_MM = 200.0
FEW_SLICES = 20
# Larger voxels are no CT: the file is in other units than it says.
MAXIMUM_VOXEL_MM = 50.0
# Networks learned from axial slices: farther off is remarked.
OBLIQUE_DEGREES = 15.0


def check(what: str, count: int, limit: int) -> None:
    """Refuse a count above its limit.

    Raises:
        InputError: E_LIMIT.
    """
    if count > limit:
        raise InputError(
            "E_LIMIT", f"the input has {count} {what}, at most {limit} are read; give a smaller folder or file"
        )
