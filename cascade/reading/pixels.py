"""Stored values to Hounsfield units: the codec, the rescale of each slice, and what lies outside the scan."""

from __future__ import annotations

import hashlib
import warnings

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder

from cascade.core.errors import InputError
from cascade.core.windows import AIR_HU
from cascade.reading.headers import BROKEN, Header
from cascade.reading.kind import lacks_preamble

_SYNTAX = "1.2.840.10008.1.2"
# Plugins measured to be exact; one name a syntax, so that two machines decode alike.
_PLUGINS = {
    **{f"{_SYNTAX}{end}": "" for end in ("", ".1", ".1.99", ".2")},
    f"{_SYNTAX}.5": "pydicom",
    **{f"{_SYNTAX}.4.{n}": "gdcm" for n in (50, 57, 70)},
    **{f"{_SYNTAX}.4.{n}": "pyjpegls" for n in (80, 81)},
    **{f"{_SYNTAX}.4.{n}": "pylibjpeg" for n in (90, 91, 201, 202, 203)},
}
_PACKAGES = {"gdcm": "python-gdcm", "pyjpegls": "pyjpegls", "pylibjpeg": "pylibjpeg-openjpeg"}


def codec(syntax: str) -> str:
    """The name of pydicom's decoding plugin for a transfer syntax; empty where nothing is compressed.

    Raises:
        InputError: E_CODEC, no decoder is known or installed; it names the remedy.
    """
    if syntax == f"{_SYNTAX}.4.51":
        remedy = "12-bit lossy JPEG needs another decoder; decompress it with `dcmdjpeg` of dcmtk first"
        raise InputError("E_CODEC", f"transfer syntax {syntax} cannot be decoded: {remedy}")
    if syntax not in _PLUGINS:
        raise InputError(
            "E_CODEC", f"transfer syntax {syntax or '(none)'} is not one of images that can be decoded; export again"
        )
    plugin = _PLUGINS[syntax]
    if plugin and not _installed(syntax, plugin):
        raise InputError("E_CODEC", f"transfer syntax {syntax} needs a decoder: pip install {_PACKAGES[plugin]}")
    return plugin


def _installed(syntax: str, plugin: str) -> bool:
    return plugin in get_decoder(pydicom.uid.UID(syntax)).available_plugins


def open_pixels(header: Header) -> Dataset:
    """The file's data set with its pixel data.

    Raises:
        InputError: E_TRUNCATED, the file does not parse to its end.
    """
    try:
        with header.path.open("rb") as file, warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            bare = lacks_preamble(file.read(4096))
            file.seek(0)
            return pydicom.dcmread(file, force=bare)
    except BROKEN as error:
        raise InputError("E_TRUNCATED", f"file {header.ordinal} cannot be read to its end; export it again") from error


def decode(header: Header, dataset: Dataset) -> NDArray[np.generic]:
    """Stored values `[row, column]` of one image, sign and dirty high bits put right.

    Raises:
        InputError: E_CODEC, E_PIXEL_FORMAT or E_TRUNCATED.
    """
    if header.samples != 1 or header.bits[0] not in (8, 16):
        what = f"{header.samples} samples of {header.bits[0]} bits"
        raise InputError("E_PIXEL_FORMAT", f"file {header.ordinal} stores {what} a pixel; CT has one of 8 or 16 bits")
    plugin = codec(header.syntax)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(header.syntax)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored, _ = get_decoder(pydicom.uid.UID(header.syntax)).as_array(
                dataset, index=header.frame or 0, raw=True, decoding_plugin=plugin
            )
    except BROKEN as error:
        text = f"the pixel data of file {header.ordinal} does not decode ({type(error).__name__}); export it again"
        raise InputError("E_TRUNCATED", text) from error
    if stored.shape != (header.rows, header.columns):
        text = f"file {header.ordinal} decodes to {stored.shape}, its header says {header.rows} x {header.columns}"
        raise InputError("E_PIXEL_FORMAT", f"{text}; export it again")
    return stored


def to_hu(header: Header, stored: NDArray[np.generic]) -> NDArray[np.int16]:
    """Hounsfield units `[row, column]`: this slice's own rescale, rounded half to even, clipped to int16.

    What the padding tags mark, and values under -1100 HU, become air where they are joined to the border.
    """
    slope, intercept = header.slope or 1.0, header.intercept or 0.0
    if slope == 1.0 and intercept.is_integer():  # the same result in whole numbers, four times as fast
        exact = stored.astype(np.int32) + np.int32(intercept)
    else:
        exact = np.rint(stored.astype(np.float64) * slope + intercept)
    hu = np.clip(exact, -32768, 32767).astype(np.int16)
    if header.padding is None:
        return clear_border(hu)
    # The tag's VR often contradicts the pixels' sign (63536 for -2000), so bits are compared.
    low, high = (value & 0xFFFF for value in header.padding)
    bits = stored.astype(np.int64) & 0xFFFF
    return clear_border(hu, (bits >= low) & (bits <= high) if low <= high else (bits == low) | (bits == high))


def clear_border(hu: NDArray[np.int16], padded: NDArray[np.bool_] | None = None) -> NDArray[np.int16]:
    """Set to air, in place, what lies outside the scan of a slice `[y, x]`.

    That is what is under -1100 HU or `padded`, and joined to the border: a padding value may also occur inside
    the body, where it is a measurement.
    """
    outside = hu < -1100
    if padded is not None:
        outside |= padded
    if outside.any():
        _, labels = cv2.connectedComponents(outside.astype(np.uint8), connectivity=8)
        rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        touching = np.unique(rim)
        hu[np.isin(labels, touching[touching > 0])] = AIR_HU
    return hu


def digest(header: Header) -> str:
    """What tells two images at one place apart: pixel bytes and rescale, hashed."""
    dataset = open_pixels(header)
    stored = np.ascontiguousarray(decode(header, dataset))
    return hashlib.sha256(stored.tobytes() + repr((header.slope, header.intercept)).encode()).hexdigest()
