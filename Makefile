PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DATA ?=

.PHONY: course test notebooks constraints clean

course: $(VENV)/.installed ## run every chapter; DATA=path/to/imdb.tar.xz runs them on real reviews
	$(BIN)/textgraft run $(if $(DATA),--data $(DATA))

test: $(VENV)/.installed ## everything that CI checks
	VENV=$(VENV) bash tests/check.sh

$(VENV)/.installed: setup.py settings.ini pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
