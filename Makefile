# The two commands: `make demo` and `make test`. Everything lives in .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1

.PHONY: demo clip test test-all lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed ## curate real map imagery, from nothing to the report
	$(BIN)/git10m demo --dir demo

clip: $(VENV)/.clip ## add what image-text models need: PyTorch, gigabytes of it where its build is for a GPU

# A process for each core, up to four: more than that want more memory than they save time.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test: $(VENV)/.installed ## all tests but the slow ones: some ten minutes
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed ## all tests
	$(PYTEST)

lint: $(VENV)/.installed ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "git10m needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev]'
	touch $@

$(VENV)/.clip: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[clip]'
	touch $@

clean: ## remove the environment and the demo's output
	rm -rf $(VENV) demo
