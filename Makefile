# Each command makes what it needs: the virtual environment, the packages, the servers.
#
#   make demo     everything at once, with sample data, on http://localhost:8000
#   make test     all checks and all tests
#   make check    the quick checks: style, Django's own, missing migrations
#   make bench    measure the hot paths beside the plain-SQL limit
#   make clean    remove what these commands made, the demo's data included
#
# Choose another interpreter with PYTHON=python3.12, another port with PORT=9000.

SHELL := /bin/sh
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.requirements.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help:
	@sed -n 's/^#   make /  make /p' Makefile

demo: $(READY)
	@exec $(RUN) manage.py demo

# Tests of processes and of the database share two workers: more only wait for each other's cores.
test: check
	$(VENV)/bin/pytest -n 2 --dist worksteal

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) manage.py check --settings config.settings.test --fail-level WARNING
	$(RUN) manage.py makemigrations --check --dry-run --settings config.settings.test

bench: $(READY)
	@exec $(RUN) -m benchmarks

clean:
	rm -rf $(VENV) var staticfiles .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt deploy/install
	@deploy/install $(VENV)
	@touch $(READY)
