# Every target makes its own environment first: nothing has to be installed by hand.
#   make demo                 simulate a study, read it, say where to look
#   make demo STUDY=folder    the same on a study of one's own
#   make test                 everything that CI runs
#   make check                format, lint, types, imports, fast tests
#   make sheets SHARED=folder simulated slices beside real ones, into $(OUT)
PYTHON := python3
VENV := .venv
SEED := 5
OUT := demo
SHARED := ../shared
# COVERAGE=--cov counts it, and fails under the floor of pyproject.toml.
COVERAGE :=
BIN := $(VENV)/bin
# Named after what it was installed from, so that a changed pin installs again and nothing else does.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt 2>/dev/null | cksum | cut -d ' ' -f 1)

.PHONY: venv demo sheets test check slow golden codes lint wheel clean

venv: $(STAMP)

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "pe-cascade needs Python 3.11 or later; call make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once; about 7 GB, a few minutes)" >&2
	$(BIN)/python -m pip install --quiet -e ".[train,dev]" -c constraints.txt --config-settings editable_mode=compat
	@rm -f $(VENV)/.installed-*
	@touch $@

demo: $(STAMP)
	$(BIN)/cascade demo --seed $(SEED) -o $(OUT) $(STUDY)

REAL := $(wildcard $(SHARED)/data/ctpa/*/ct) $(SHARED)/data/real/cmb-crc-chest \
  $(SHARED)/data/real/nsclc-radiogenomics-r01-001 $(SHARED)/data/real/cptac-lscc-c3n-00247

sheets: $(STAMP)
	$(BIN)/cascade-bench sheets --real $(REAL) --simulated 6 --seed $(SEED) --anatomy $(SHARED)/data/anatomy -o $(OUT)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest --durations=20 $(COVERAGE)

check: lint
	$(BIN)/python -m pytest -x -m "not slow and not data"

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

golden: $(STAMP)
	$(BIN)/python -m tests.writing.write_golden

codes: $(STAMP)
	$(BIN)/python -m cascade.core.codes > docs/codes.md

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf build dist $(OUT) *.egg-info
