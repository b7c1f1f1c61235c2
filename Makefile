# Everything Switchyard can do from the command line; `make` alone lists it.
# Settings go along as variables: make up PORT=9000 DATA_DIR=/srv/switchyard

PYTHON3 ?= python3
PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help up down demo test check format lock migration bench screenshots clean install install-dev

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# up and down run without a shell in between, which would swallow make's SIGTERM.
up: install ## Install, migrate, seed and start everything on PORT (8000); Ctrl-C stops it
	@$(PYTHON) -m scripts.up

down: ## Stop what runs on DATA_DIR (instance/), also what a killed run left behind
	@test ! -x $(PYTHON) || $(PYTHON) -m scripts.down

demo: install ## Play the main story against a loopback provider, step by step, with timings
	@$(PYTHON) -m scripts.demo

test: check ## Lint, type-check and run every test (real servers, real browser)
	@$(PYTHON3) scripts/install.py browser
	@$(PYTHON) -m pytest --dist loadgroup --numprocesses $$(($$(nproc) + 1)) # half of the time they wait for a process

check: install-dev ## Lint and type-check only
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

format: install-dev ## Format the code and mend what the linter can mend
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

lock: install-dev ## Lock pyproject.toml's requirements with hashes; newer versions: UPGRADE=--upgrade
	@$(PYTHON) -m uv pip compile $(LOCK) --output-file requirements.txt pyproject.toml
	@$(PYTHON) -m uv pip compile $(LOCK) --extra dev --constraints requirements.txt --output-file requirements-dev.txt pyproject.toml

LOCK := --quiet $(UPGRADE) --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links

migration: install ## Write a migration for changed models: make migration m="what changed"
	@test -n "$(m)" || { echo 'Say what changed: make migration m="add a column"'; exit 2; }
	@$(PYTHON) -m flask db migrate -m "$(m)"

bench: install-dev ## Run the benchmarks of bench/ (minutes; numbers of this machine)
	@for script in bench/[!_]*.py; do echo "== $$script"; PYTHONPATH=. $(PYTHON) "$$script" || exit 1; done

screenshots: install-dev ## Photograph every admin page in both themes into docs/screenshots
	@$(PYTHON3) scripts/install.py browser
	@$(PYTHON) -m scripts.screenshots

clean: ## Remove .venv and caches; instance/ with the data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis client/*.egg-info
	find app worker client scripts tests bench migrations -name __pycache__ -prune -exec rm -rf {} +

install:
	@$(PYTHON3) scripts/install.py runtime

install-dev:
	@$(PYTHON3) scripts/install.py dev
