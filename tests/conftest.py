from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# On a busy machine the first example may wait for an import; that is no fault of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# The developer's own cache of cases has no say in the tests.
os.environ.pop("PE_CASCADE_CASES", None)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the shared data folder beside the checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of small networks that have learned nothing."""
    from cascade.bundle import save, subset_name
    from tests.small_bundle import parameters, small_bundle

    folder = tmp_path_factory.mktemp("bundle")
    made = small_bundle()
    save(made.with_fusion({subset_name(made.names): parameters()}), folder)
    return folder
