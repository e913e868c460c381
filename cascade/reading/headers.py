"""What a DICOM file says of its image, one `Header` an image; no pixel is read here."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom import config
from pydicom.dataset import Dataset

from cascade.core.errors import InputError
from cascade.reading.extent import Extent, pixel_extent
from cascade.reading.kind import is_dicom, lacks_preamble
from cascade.reading.limits import MAX_FRAMES, MAX_SIDE, check

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT image",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT",
}
_NATIVE = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
_DEFLATED = "1.2.840.10008.1.2.1.99"
_LOSSY = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81, 91, 203)}
# What pydicom raises on broken bytes; KeyboardInterrupt is never among them.
BROKEN = (Exception,)


@dataclass(frozen=True)
class Header:
    """One CT image: a file, or a frame of one.

    Attributes:
        path: The file.
        ordinal: Its place in the sorted list of files, from 1: how messages name it.
        frame: Index of the frame in a multi-frame file; None for a file with one image.
        series: SeriesInstanceUID; the folder where it is missing.
        study: StudyInstanceUID, empty where missing.
        sop: SOPInstanceUID, empty where missing.
        patient: Id, name and birth date: compared, never shown.
        spacing: Distance of rows and of columns, mm.
        position: Centre of the first pixel, LPS mm.
        cosines: Direction of a row (rising column), then of a column (rising row).
        slope: Rescale slope; None where absent or unusable. `intercept` likewise.
        padding: Lowest and highest stored value, as bits, that mean "outside the scan".
        acquisition: Values that tell acquisitions of one series apart.
        temporal: Values that tell phases of a moving series apart.
        description: Of the series: someone may ask for it by this name; never written.
        words: Descriptions and protocol in capitals: for scoring only, never written.
        facts: What may be written: kernel, kvp, contrast_agent ...
        extent: Whether the pixel data is all there.
        remarks: Codes of warnings about this image.
    """

    path: Path
    ordinal: int
    frame: int | None = None
    number: int | None = None
    series: str = ""
    study: str = ""
    sop: str = ""
    patient: tuple[str, ...] = ()
    modality: str = ""
    sop_class: str = ""
    image_type: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0
    spacing: tuple[float, ...] | None = None
    position: tuple[float, ...] | None = None
    cosines: tuple[float, ...] | None = None
    slope: float | None = None
    intercept: float | None = None
    padding: tuple[int, int] | None = None
    syntax: str = ""
    photometric: str = ""
    samples: int = 1
    bits: tuple[int, int] = (16, 16)
    lossy: bool = False
    acquisition: tuple[str, ...] = ()
    temporal: tuple[str, ...] = ()
    description: str = ""
    words: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    extent: Extent = "whole"
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unread:
    """A file that gives no header, and why.

    Attributes:
        ordinal: As in `Header`.
        reason: In a few words.
        error: The refusal, where this file alone was given.
        damaged: It may be an image of the series that is read, and not a file of another kind.
    """

    ordinal: int
    reason: str
    error: InputError | None = None
    damaged: bool = False


def read_headers(path: Path, ordinal: int) -> list[Header] | Unread:
    """The images of one file, or why there are none."""
    try:
        with path.open("rb") as file, warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            head = file.read(4096)
            if not head:
                return Unread(ordinal, "empty file", damaged=True)
            if not is_dicom(head):
                return Unread(ordinal, "not DICOM")
            file.seek(0)
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=lacks_preamble(head))
            return _headers(dataset, file, path, ordinal)
    except InputError as error:
        return Unread(ordinal, error.text, error, damaged=True)
    except (EOFError, struct.error):
        return _truncated(ordinal)
    except BROKEN as error:  # RecursionError, MemoryError, AttributeError ... : one bad file is one row of the table
        return Unread(ordinal, f"cannot be parsed ({type(error).__name__})", damaged=True)


def _truncated(ordinal: int) -> Unread:
    text = f"file {ordinal} ends before its pixel data does; copy or export it again"
    return Unread(ordinal, "truncated", InputError("E_TRUNCATED", text), damaged=True)


def _headers(dataset: Dataset, file: Any, path: Path, ordinal: int) -> list[Header] | Unread:
    meta = getattr(dataset, "file_meta", Dataset())
    sop_class = _text(dataset, "SOPClassUID") or _text(meta, "MediaStorageSOPClassUID")
    modality = _text(dataset, "Modality").upper()
    implicit, little = dataset.original_encoding
    syntax = _text(meta, "TransferSyntaxUID") or _NATIVE.get((bool(implicit), bool(little)), "")
    rows, columns = _whole(dataset, "Rows") or 0, _whole(dataset, "Columns") or 0
    frames = _whole(dataset, "NumberOfFrames") or 1
    check("rows or columns", max(rows, columns), MAX_SIDE)
    check("frames in one file", frames, MAX_FRAMES)
    bits = (_whole(dataset, "BitsAllocated") or 16, _whole(dataset, "BitsStored") or 16)
    samples = _whole(dataset, "SamplesPerPixel") or 1
    if syntax == _DEFLATED:  # pydicom has inflated the file: where the pixels lie in it says nothing
        extent: Extent = "whole"
    else:
        extent = pixel_extent(file, bool(implicit), bool(little), rows * columns * samples * frames * bits[0] // 8)
    if extent == "absent" and not (sop_class and sop_class not in CT_CLASSES):
        placed = _numbers(dataset, "ImagePositionPatient", 3) and _numbers(dataset, "ImageOrientationPatient", 6)
        if not (rows and placed):
            return _truncated(ordinal)
        extent = "truncated"  # its series is known, and is refused with it
    if extent == "absent" or not rows:
        return Unread(ordinal, f"no image ({modality or 'unknown modality'})")
    series = _text(dataset, "SeriesInstanceUID")
    study, sop = _text(dataset, "StudyInstanceUID"), _text(dataset, "SOPInstanceUID")
    common = Header(
        path=path,
        ordinal=ordinal,
        number=_whole(dataset, "SeriesNumber"),
        # An anonymiser's "0" is no identifier: without a dot a UID names nothing, and the folder groups instead.
        series=series if "." in series else f"folder {path.parent}",
        study=study if "." in study else "",
        sop=sop if "." in sop else "",
        patient=tuple(_text(dataset, k) for k in ("PatientID", "PatientName", "PatientBirthDate")),
        modality=modality,
        sop_class=sop_class,
        image_type=tuple(str(v).upper() for v in _list(dataset, "ImageType")),
        rows=rows,
        columns=columns,
        syntax=syntax,
        photometric=_text(dataset, "PhotometricInterpretation"),
        samples=samples,
        bits=bits,
        lossy=syntax in _LOSSY or _text(dataset, "LossyImageCompression") == "01",
        acquisition=tuple(
            _text(dataset, k) for k in ("AcquisitionNumber", "ContrastBolusPhase", "AcquisitionTime", "ContentTime")
        ),
        temporal=tuple(
            _text(dataset, k)
            for k in ("TemporalPositionIndex", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase")
        ),
        description=_text(dataset, "SeriesDescription"),
        words=" ".join(_text(dataset, k) for k in ("SeriesDescription", "ProtocolName", "StudyDescription")).upper(),
        padding=_padding(dataset),
        extent=extent,
    )
    if frames > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        return [_frame(common, dataset, index) for index in range(frames)]
    return [_place(common, dataset, dataset, dataset, dataset)]


def _frame(common: Header, dataset: Dataset, index: int) -> Header:
    """A frame's own place and rescale: per frame where stated there, else shared by all."""
    from dataclasses import replace

    shared = (_list(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    own = _list(dataset, "PerFrameFunctionalGroupsSequence")
    mine = own[index] if index < len(own) else Dataset()

    def group(name: str) -> Dataset:
        for source in (mine, shared):
            items = _list(source, name)
            if items:
                return items[0]  # type: ignore[no-any-return]  # items of a DICOM sequence are data sets
        return Dataset()

    content = group("FrameContentSequence")
    header = _place(
        replace(common, frame=index),
        group("PlanePositionSequence"),
        group("PlaneOrientationSequence"),
        group("PixelMeasuresSequence"),
        group("PixelValueTransformationSequence"),
    )
    stack = (_text(content, "StackID"), _text(content, "TemporalPositionIndex"))
    frame_type = tuple(str(v).upper() for v in _list(group("CTImageFrameTypeSequence"), "FrameType"))
    return replace(
        header,
        acquisition=(*stack, *header.acquisition),
        image_type=frame_type or header.image_type,
        facts={**header.facts, **_facts(dataset)},
    )


def _place(common: Header, position: Dataset, orientation: Dataset, measures: Dataset, rescale: Dataset) -> Header:
    from dataclasses import replace

    slope, intercept = _number(rescale, "RescaleSlope"), _number(rescale, "RescaleIntercept")
    thickness = _number(measures, "SliceThickness")
    return replace(
        common,
        position=_numbers(position, "ImagePositionPatient", 3),
        cosines=_numbers(orientation, "ImageOrientationPatient", 6),
        spacing=_numbers(measures, "PixelSpacing", 2),
        slope=slope if slope else None,
        intercept=intercept,
        facts={**_facts(position), **({"thickness_mm": thickness} if thickness else {})},
    )


def _facts(dataset: Dataset) -> dict[str, Any]:
    """Technical values only: no description, date, name or number of a person."""
    agent = _text(dataset, "ContrastBolusAgent").strip()
    facts = {
        "modality": _text(dataset, "Modality") or None,
        "manufacturer": _short(dataset, "Manufacturer"),
        "model": _short(dataset, "ManufacturerModelName"),
        "kernel": _short(dataset, "ConvolutionKernel"),
        "kvp": _number(dataset, "KVP"),
        # Free text in the wild ("&", "O", a nurse's note): only whether one is named.
        "contrast_agent": bool(agent) if "ContrastBolusAgent" in dataset else None,
        "patient_position": _short(dataset, "PatientPosition"),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    low = _raw(dataset, "PixelPaddingValue")
    high = _raw(dataset, "PixelPaddingRangeLimit")
    if not isinstance(low, int):
        return None
    high = high if isinstance(high, int) else low
    return min(low, high), max(low, high)


def _raw(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except BROKEN:
        return None


def _text(dataset: Dataset, keyword: str) -> str:
    value = _raw(dataset, keyword)
    return "" if value is None else str(value).strip().strip("\0")


def _short(dataset: Dataset, keyword: str) -> str | None:
    value = "".join(c for c in _text(dataset, keyword) if c.isprintable())[:32]
    return value if value not in ("", "0") else None


def _list(dataset: Dataset, keyword: str) -> Sequence[Any]:
    value = _raw(dataset, keyword)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__len__") else value


def _number(dataset: Dataset, keyword: str) -> float | None:
    try:
        value = float(_raw(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _whole(dataset: Dataset, keyword: str) -> int | None:
    value = _number(dataset, keyword)
    return None if value is None else int(value)


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    try:
        values = tuple(float(v) for v in _list(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None
