"""Findings, studies and reports to files; each whole or absent. One file a format."""

from __future__ import annotations

from cascade.core.files import OutputError, is_done
from cascade.writing.dicom import write_dicom
from cascade.writing.findings import FORMATS, load_findings, save
from cascade.writing.picture import overlay
from cascade.writing.record import rounded
from cascade.writing.run import save_run
from cascade.writing.volume import write_nifti

__all__ = [
    "FORMATS",
    "OutputError",
    "is_done",
    "load_findings",
    "overlay",
    "rounded",
    "save",
    "save_run",
    "write_dicom",
    "write_nifti",
]
