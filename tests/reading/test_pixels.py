"""Stored values to Hounsfield units: rescale, sign, padding, codecs."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from cascade.core.errors import InputError
from cascade.core.windows import AIR_HU
from cascade.reading import read
from cascade.reading.pixels import codec
from tests.analytic_dicom import assert_right, phantom, write


def codes(study) -> set[str]:
    return {note.code for note in study.warnings}


def test_hu_uses_the_rescale_of_each_slice(tmp_path):
    slices = phantom(slope=lambda k: 0.5 + 0.25 * (k % 3), intercept=lambda k: -1024.0 + k)
    assert_right(read(write(tmp_path, slices), minimum_slices=1))


def test_hu_are_rounded_half_to_even_and_clipped(tmp_path):
    def halves(ds, k):
        ds.RescaleSlope, ds.RescaleIntercept = "0.5", "0"
        stored = np.zeros((72, 80), "<i2")
        stored[30, 30:36] = 1, 3, 5, -1, -2000, 32767
        ds.PixelData = stored.tobytes()

    study = read(write(tmp_path, phantom(slices=4, mutate=halves)), minimum_slices=1)
    assert study.hu[0, 30, 30:36].tolist() == [0, 2, 2, 0, -1000, 16384]

    def large(ds, k):
        halves(ds, k)
        ds.RescaleSlope = "4"

    study = read(write(tmp_path / "large", phantom(slices=4, mutate=large)), minimum_slices=1)
    assert study.hu[0, 30, 35] == 32767


def test_unsigned_twelve_bit_values_with_dirty_high_bits_are_read(tmp_path):
    def dirty(ds, k):
        stored = np.frombuffer(ds.PixelData, "<i2").astype(np.uint16) & 0x0FFF
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        ds.PixelData = (stored | 0xA000).astype("<u2").tobytes()

    assert_right(read(write(tmp_path, phantom(mutate=dirty)), minimum_slices=1))


def test_signed_twelve_bit_values_keep_their_sign(tmp_path):
    def twelve(ds, k):
        ds.BitsStored, ds.HighBit = 12, 11
        ds.PixelData = (np.frombuffer(ds.PixelData, "<i2") & 0x0FFF).astype("<u2").tobytes()

    assert_right(read(write(tmp_path, phantom(intercept=lambda k: 0.0, mutate=twelve)), minimum_slices=1))


@pytest.mark.parametrize("value", [-2000, -3024])
@pytest.mark.parametrize("tagged", [True, False])
def test_padding_around_the_scan_becomes_air(tmp_path, value, tagged):
    def pad(ds, k):
        stored = np.frombuffer(ds.PixelData, "<i2").reshape(72, 80).copy()
        stored[:5], stored[:, :5] = value, value
        ds.PixelData = stored.tobytes()
        if tagged:
            ds.PixelPaddingValue = value

    study = read(write(tmp_path, phantom(intercept=lambda k: 0.0, mutate=pad)), minimum_slices=1)
    assert study.hu.min() == AIR_HU
    assert_right(study)


def test_a_padding_value_inside_the_body_stays_a_measurement(tmp_path):
    study = read(write(tmp_path, phantom(intercept=lambda k: 0.0, tags={"PixelPaddingValue": 300})), minimum_slices=1)
    assert_right(study)


def test_a_missing_rescale_is_found_from_air_and_body(tmp_path):
    def without(ds, k):
        del ds.RescaleSlope, ds.RescaleIntercept

    study = read(write(tmp_path, phantom(mutate=without)), minimum_slices=1)
    assert "W_RESCALE_ASSUMED" in codes(study)
    assert_right(study)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        pytest.param({"RescaleSlope": "0"}, "W_RESCALE_ASSUMED", id="a slope of zero counts as missing"),
        pytest.param({"RescaleIntercept": "0"}, "W_OFFSET_FIXED", id="an offset that was left in is taken away"),
        pytest.param({"PhotometricInterpretation": "MONOCHROME1"}, "W_MONOCHROME1", id="display does not invert HU"),
    ],
)
def test_what_a_tag_says_wrongly_is_put_right_with_a_word(tmp_path, tags, code):
    study = read(write(tmp_path, phantom(tags=tags)), minimum_slices=1)
    assert code in codes(study)
    assert_right(study)


def test_values_that_are_no_hu_are_refused(tmp_path):
    def normalised(ds, k):
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.PixelData = (np.frombuffer(ds.PixelData, "<i2") // 100).astype("<i2").tobytes()

    with pytest.raises(InputError, match="E_NOT_HU"):
        read(write(tmp_path, phantom(mutate=normalised)), minimum_slices=1)


def test_colour_is_refused(tmp_path):
    def colour(ds, k):
        ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
        ds.PixelData = ds.PixelData * 3

    with pytest.raises(InputError, match="E_PIXEL_FORMAT"):
        read(write(tmp_path, phantom(mutate=colour)), minimum_slices=1)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless], ids=lambda s: s.name)
def test_lossless_syntaxes_are_exact(tmp_path, syntax):
    slices = phantom(intercept=lambda k: 0.0)
    for ds in slices:
        ds.compress(syntax, generate_instance_uid=False)
    study = read(write(tmp_path, slices), minimum_slices=1)
    assert_right(study)
    assert np.array_equal(study.hu, read(write(tmp_path / "n", phantom()), minimum_slices=1).hu)
    assert "W_LOSSY" not in codes(study)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=lambda s: s.name
)
def test_native_syntaxes_are_exact(tmp_path, syntax):
    slices = phantom()
    for ds in slices:
        ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    for k, ds in enumerate(slices):
        ds.save_as(tmp_path / f"{k}.dcm", implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    assert_right(read(tmp_path, minimum_slices=1))


def test_loss_is_said_even_when_it_was_decompressed_since(tmp_path):
    assert "W_LOSSY" in codes(read(write(tmp_path, phantom(tags={"LossyImageCompression": "01"})), minimum_slices=1))


def test_a_syntax_without_decoder_names_the_remedy():
    with pytest.raises(InputError, match=r"E_CODEC.*dcmdjpeg"):
        codec(JPEGExtended12Bit)
    with pytest.raises(InputError, match="E_CODEC"):
        codec("1.2.3")


def test_one_function_names_the_codec():
    assert codec(JPEGLSLossless) == "pyjpegls"
    assert codec(JPEG2000Lossless) == "pylibjpeg"
    assert codec(HTJ2KLossless) == "pylibjpeg"
    assert codec("1.2.840.10008.1.2.4.70") == "gdcm"
    assert codec("1.2.840.10008.1.2.1") == ""
