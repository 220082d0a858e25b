# The two commands that matter: `make run` and `make test`. Both make their own environment first.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: run test notebooks-full strokes-demo elastic-demo morph-demo lab site notebooks train measure bench lint build clean

run: $(READY)  ## distil a gallery with the embedded model
	$(BIN)/python demo.py --out outputs

test: $(READY)  ## everything: style, types, built files, unit tests, notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --dist worksteal

notebooks-full: $(READY)  ## run the notebooks with every step of their long runs; `test` takes a fiftieth
	EFFORT=1 $(BIN)/python -m pytest -n auto --dist worksteal --durations=0 tests/notebooks

strokes-demo: $(READY)  ## paint strokes and see them become a picture, on a page of its own
	$(BIN)/voila strokes_demo.ipynb

elastic-demo: $(READY)  ## draw pictures of any size, on a page of its own
	$(BIN)/voila elastic_demo.ipynb

morph-demo: $(READY)  ## morph from prompt to prompt in pixels, on a page of its own
	$(BIN)/voila morph_demo.ipynb

lab: $(READY)  ## open JupyterLab on the course
	JUPYTER_CONFIG_PATH="$(CURDIR)/data/configs/jupyter" $(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

site: $(READY)  ## the course as a folder of plain files: build/site
	$(BIN)/python -m website build

notebooks: $(READY)  ## rebuild stubs, notebooks and checks from their sources
	$(BIN)/python -m grading build

train: $(READY)  ## make the embedded models from nothing (resumes after a kill)
	$(BIN)/python -m training

measure: $(READY)  ## print the figures of the embedded models, on fresh seeds
	$(BIN)/python -m training measure

bench: $(READY)  ## speed and memory, each as a ratio within the same run
	$(BIN)/python -m benchmarks

lint: $(READY)  ## put style right where that can be done by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was built, but not the environment or your pictures
	rm -rf build .pytest_cache .ruff_cache .mypy_cache

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("make needs Python 3.10 or newer: make PYTHON=python3.11") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[instructor,cluster,postgres,demo,hub,site]" --group dev
	-$(BIN)/python -m website.npm_packages  # without npm its tests are skipped
	-$(BIN)/python -m grading.hub.proxy
	touch $@
