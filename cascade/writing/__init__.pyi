from .dicom import write_dicom as write_dicom
from .findings import load_findings as load_findings
from .findings import save as save
from .formats import FORMATS as FORMATS
from .picture import overlay as overlay
from .record import rounded as rounded
from .run import save_run as save_run
from .volume import write_nifti as write_nifti
