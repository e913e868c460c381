"""What a path holds, found by its content and never by its name."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Literal

from cascade.core.errors import InputError

Kind = Literal["folder", "dicom", "nifti", "nrrd"]

_GZIP = b"\x1f\x8b"


def kind_of(path: Path) -> Kind:
    """Tell a folder, a DICOM file, a NIfTI and an NRRD apart by their first bytes.

    Raises:
        InputError: E_NOT_FOUND, there is nothing at this path.
            E_UNKNOWN_FORMAT, a file of another kind.
    """
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise InputError("E_NOT_FOUND", "there is no file or folder at the path given; check its spelling")
    with path.open("rb") as file:
        head = file.read(4096)
    if is_dicom(head):
        return "dicom"
    if head.startswith(b"NRRD000"):
        return "nrrd"
    if _is_nifti(head if not head.startswith(_GZIP) else _inflate(head)):
        return "nifti"
    raise InputError(
        "E_UNKNOWN_FORMAT",
        "the file is neither DICOM nor NIfTI nor NRRD; give a DICOM folder, one .nii, .nii.gz or .nrrd file",
    )


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with these bytes is DICOM, with or without the preamble."""
    return head[128:132] == b"DICM" or lacks_preamble(head)


def lacks_preamble(head: bytes) -> bool:
    """Whether the bytes begin as a DICOM data set does when preamble and "DICM" were left out."""
    if head[128:132] == b"DICM" or len(head) < 12:
        return False
    group, element = struct.unpack("<HH", head[:4])
    if group not in (0x0002, 0x0008) or element > 0x0070:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    implicit_length = struct.unpack("<I", head[4:8])[0]
    return explicit or implicit_length <= 1024


def _is_nifti(head: bytes) -> bool:
    if len(head) < 348:
        return False
    return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")


def _inflate(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""
