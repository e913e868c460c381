"""Write the golden file anew: `make golden`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cascade.writing import save
from tests.writing.answers import answer

if __name__ == "__main__":
    target = Path(__file__).parent / "golden" / "findings.json"
    with tempfile.TemporaryDirectory() as folder:
        save(answer(), folder, ("json", "nifti", "csv", "probability"))
        target.write_text((Path(folder) / "findings.json").read_text())
