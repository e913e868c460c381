"""A multi-stage cascade that reads a CT pulmonary angiogram for embolism. Research only.

from cascade import Cascade
findings = Cascade.load().run("STUDY")
print(findings.exam.decision, findings.exam.probability, findings.exam.reason)
findings.save("OUT")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade.cascade import Cascade
    from cascade.detection import detect
    from cascade.errors import BundleError, CascadeError, InputError, UsageError
    from cascade.findings import Findings, Lesion
    from cascade.study import Study

__all__ = [
    "BundleError",
    "Cascade",
    "CascadeError",
    "Findings",
    "InputError",
    "Lesion",
    "Study",
    "UsageError",
    "detect",
]

# A name is imported when it is first used: `import cascade` stays quick, and only what runs is loaded.
_HOME = {
    "BundleError": "cascade.errors",
    "Cascade": "cascade.cascade",
    "CascadeError": "cascade.errors",
    "Findings": "cascade.findings",
    "InputError": "cascade.errors",
    "Lesion": "cascade.findings",
    "Study": "cascade.study",
    "UsageError": "cascade.errors",
    "detect": "cascade.detection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cascade' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
