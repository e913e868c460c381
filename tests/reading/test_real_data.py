"""Real studies: what they hold is read as SOURCES.md and CTPA.md say."""

from __future__ import annotations

import time

import nibabel
import numpy as np
import pytest

from cascade.core.errors import InputError
from cascade.reading import read

pytestmark = pytest.mark.data

STUDIES = {
    "lung1-003-contrast": (69, 3.0, -1024),
    "rider-pilot-ctpa-bases": (14, 5.6, -1024),
    "covid-ct-md-normal001": (22, 14.0, -1024),
    "acrin-nsclc-042": (23, 19.62, -1024),
    "cptac-head-vault": (15, 5.0, -1200),
}
ODD = {
    "ct1_j2k_lossy": "W_LOSSY",
    "ct2_jpegls_near_lossless": "W_LOSSY",
    "no_modality_zero_position_jls": "W_FEW_SLICES",
    "ct_mono2_8bit_abdomen": "E_NO_CT_SERIES",
    "enhanced_ct_perfusion_2frames_jls": "E_NO_CT_SERIES",
    "seg_ct_binary": "E_NO_CT_SERIES",
    "seg_modality_as_ct_image_jls": "E_NO_CT_SERIES",
    "sr_document": "E_NO_CT_SERIES",
}


@pytest.mark.parametrize("name", STUDIES)
def test_real_studies_are_read(shared, name):
    slices, spacing, lowest = STUDIES[name]
    study = read(shared / "dicom" / name)
    assert study.hu.shape[0] == slices
    assert study.grid.spacing[0] == pytest.approx(spacing, abs=0.01)
    assert lowest <= study.hu.min() < -900  # padding of -2000 and -3024 is gone
    assert len(study.source) == slices


@pytest.mark.parametrize("patient", ["fumpe-pat001", "fumpe-pat031"])
def test_a_radiologists_mask_lies_on_enhanced_blood_vessels(shared, patient):
    study = read(shared / "ctpa" / patient / "ct")
    image = nibabel.load(shared / "ctpa" / patient / "embolus.nii.gz")
    mask = study.grid.to_grid(np.asarray(image.dataobj).T) > 0
    assert np.allclose(np.diag([-1, -1, 1, 1]) @ image.affine, study.grid.source_affine[:, [2, 1, 0, 3]], atol=1e-3)
    assert 60 < study.hu[mask].mean() < 130


def test_a_study_is_read_in_a_few_seconds(shared):
    start = time.process_time()
    study = read(shared / "ctpa" / "fumpe-pat031" / "ct")
    # Processor time: 9 ms a slice, JPEG-LS decoding included; the bar leaves room for a slower machine.
    assert (time.process_time() - start) / study.hu.shape[0] < 0.05


@pytest.mark.parametrize("name", ODD)
def test_odd_files_end_in_their_code(shared, name):
    path = shared / "odd_dicom" / f"{name}.dcm"
    if ODD[name].startswith("E_"):
        with pytest.raises(InputError, match=ODD[name]):
            read(path, minimum_slices=1)
    else:
        assert ODD[name] in {note.code for note in read(path, minimum_slices=1).warnings}


def test_three_lossless_syntaxes_give_the_same_slice(shared):
    odd = shared / "odd_dicom"
    one = read(odd / "ct2_rle.dcm", minimum_slices=1)
    for name in ("ct2_j2k_lossless", "ct2_jpeg_lossless_p14"):
        assert read(odd / f"{name}.dcm", minimum_slices=1).id == one.id


def test_every_single_slice_is_read(shared):
    for path in sorted((shared / "dicom_slices" / "siim-tcia").glob("*.dcm")):
        study = read(path, minimum_slices=1)
        assert -1200 < study.hu.min() < 0 < study.hu.max()
