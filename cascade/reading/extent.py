"""Whether the pixel data of a DICOM file is all there, without decoding it."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Literal

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_PIXEL_DATA_BIG = b"\x7f\xe0\x00\x10"
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = 0xFFFFFFFF

Extent = Literal["whole", "truncated", "absent"]


def pixel_extent(file: BinaryIO, implicit: bool, little: bool, expected: int) -> Extent:
    """Look at the pixel data element at the file's position.

    Args:
        file: Standing at the element's tag, as pydicom leaves it with `stop_before_pixels`.
        implicit: The syntax has no VR.
        little: The syntax is little-endian.
        expected: Bytes that the header promises for native pixels; not used for encapsulated ones.

    Returns:
        "truncated" where the value or one of its fragments ends early. One byte of padding may be missing.
    """
    size = os.fstat(file.fileno()).st_size
    start = file.tell()
    head = file.read(12)
    if head[:4] not in (_PIXEL_DATA, _PIXEL_DATA_BIG):
        return "absent"
    if len(head) < (8 if implicit else 12):
        return "truncated"
    order = "<" if little else ">"
    length = struct.unpack(order + "I", head[4:8] if implicit else head[8:12])[0]
    value = start + (8 if implicit else 12)
    if length != _UNDEFINED:
        present = size - value
        return "truncated" if present < expected or present < length - 1 or length < expected else "whole"
    file.seek(value)
    while len(item := file.read(8)) == 8:
        if item[:4] == _END:
            return "whole"
        (fragment,) = struct.unpack("<I", item[4:])
        if item[:4] != _ITEM or file.tell() + fragment > size:
            return "truncated"
        file.seek(fragment, os.SEEK_CUR)
    return "truncated"
