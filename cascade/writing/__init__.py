"""Findings, studies and reports to files; each whole or absent. One file a format."""

from __future__ import annotations

from cascade.writing.dicom import write_dicom
from cascade.writing.files import is_done
from cascade.writing.findings import FORMATS, load, save
from cascade.writing.record import rounded
from cascade.writing.volume import write_nifti

__all__ = ["FORMATS", "is_done", "load", "rounded", "save", "write_dicom", "write_nifti"]
