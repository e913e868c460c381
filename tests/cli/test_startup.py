from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = {"torch", "ultralytics", "timm", "openvino", "albumentations", "matplotlib", "pydicom", "nibabel", "pandas"}

COUNT_SOCKETS = """
import json, sys
seen = []
# Arguments hold the socket first, then the address.
sys.addaudithook(lambda event, given: seen.append((event, str(given[1:]))) if event.startswith("socket.") else None)
from cascade.cli.main import main
code = main(sys.argv[1:])
print(json.dumps({"code": code, "sockets": seen, "modules": sorted(sys.modules)}))
"""

# pydicom imports requests where it is installed, which asks this machine, and nobody else, whether it has IPv6.
IPV6_PROBE = {("socket.__new__", "(10, 1, 0)"), ("socket.bind", "(('::1', 0),)")}


def python(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.stdout


def loaded(code: str) -> set[str]:
    return set(json.loads(python("-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")))


def test_import_takes_a_tenth_of_a_second_and_loads_nothing_heavy():
    command = [sys.executable, "-X", "importtime", "-c", "import cascade"]
    said = [subprocess.run(command, capture_output=True, text=True, check=True).stderr for _ in range(10)]
    # Microseconds, of the package with all that it imports; the best, since this machine may have other things to do.
    taken = [int(line.split("|")[1]) for text in said for line in text.splitlines() if line.endswith("| cascade")]
    assert min(taken) < 100_000
    assert not HEAVY & loaded("import cascade")


def test_help_loads_nothing_heavy():
    quiet = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()): main(['--help'])"
    assert not HEAVY & loaded(f"from cascade.cli.main import main\n{quiet}")


def test_the_network_packages_do_not_load_torch():
    assert "torch" not in loaded("import detectors, classifiers, segmenters")


def test_python_m_cascade_is_the_same_program():
    assert python("-m", "cascade", "--version").startswith("cascade ")


def test_a_run_speaks_to_nobody(study: Path, bundle: Path, tmp_path: Path):
    arguments = ["run", str(study), "-o", str(tmp_path / "out"), "--bundle", str(bundle), "--runtime", "openvino"]
    first, second = (
        json.loads(python("-c", COUNT_SOCKETS, *arguments, PE_CASCADE_CACHE=str(tmp_path / "cache"))) for _ in range(2)
    )
    assert (first["code"], second["code"]) == (0, 0)
    for told in (first, second):
        assert set(map(tuple, told["sockets"])) <= IPV6_PROBE
    assert "torch" not in second["modules"]  # the compiled networks need none
