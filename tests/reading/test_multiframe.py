"""Many slices in one file: places and rescale come from the functional groups, per frame before shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import LegacyConvertedEnhancedCTImageStorage

from cascade.core.errors import InputError
from cascade.reading import read
from tests.analytic_dicom import ORIENTATIONS, assert_right, phantom

COPIED = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "PatientID", "SeriesNumber", "ImageType"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)


def group(source: Dataset, *keywords: str) -> Sequence:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, source[keyword].value)
    return Sequence([item])


def multiframe(path: Path, slices: list[Dataset]) -> Path:
    """One legacy-converted file of the slices."""
    first = slices[0]
    made = Dataset()
    made.file_meta = first.file_meta
    made.file_meta.MediaStorageSOPClassUID = LegacyConvertedEnhancedCTImageStorage
    for keyword in COPIED:
        setattr(made, keyword, first[keyword].value)
    made.SOPClassUID = LegacyConvertedEnhancedCTImageStorage
    made.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PixelMeasuresSequence = group(first, "PixelSpacing")
    shared.PlaneOrientationSequence = group(first, "ImageOrientationPatient")
    shared.PixelValueTransformationSequence = group(first, "RescaleSlope", "RescaleIntercept")
    frames = []
    for ds in slices:
        frame = Dataset()
        frame.PlanePositionSequence = group(ds, "ImagePositionPatient")
        if ds.RescaleIntercept != first.RescaleIntercept:
            frame.PixelValueTransformationSequence = group(ds, "RescaleSlope", "RescaleIntercept")
        frames.append(frame)
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    made.PixelData = b"".join(ds.PixelData for ds in slices)
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("orientation", ["axial", "prone", "coronal"])
def test_frames_are_placed_like_slices(tmp_path, orientation):
    assert_right(read(multiframe(tmp_path / "m.dcm", phantom(ORIENTATIONS[orientation])), minimum_slices=1))


def test_each_frame_has_its_own_rescale(tmp_path):
    slices = phantom(intercept=lambda k: -1024.0 + 10 * (k % 3))
    assert_right(read(multiframe(tmp_path / "m.dcm", slices), minimum_slices=1))


def test_frames_in_any_order_are_sorted_by_position(tmp_path):
    slices = phantom()
    study = read(multiframe(tmp_path / "m.dcm", slices[::-1]), minimum_slices=1)
    assert_right(study)
    assert study.source == ()


def test_missing_frames_are_refused(tmp_path):
    slices = phantom()
    with pytest.raises(InputError, match="E_MISSING_SLICES"):
        read(multiframe(tmp_path / "m.dcm", slices[:8] + slices[10:]), minimum_slices=1)


def test_a_truncated_multiframe_is_refused(tmp_path):
    path = multiframe(tmp_path / "m.dcm", phantom())
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(InputError, match="E_TRUNCATED"):
        read(path, minimum_slices=1)
