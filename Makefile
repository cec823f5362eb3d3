# What this checkout can do: `make help`. Each target installs what it needs first (tools/setup).

PYTHON_ENV := .venv/bin/python
# For one test: make test ARGS="tests/unit/syntax -k printer"
ARGS ?=

.PHONY: help setup setup-tests demo test check lint types imports docs docs-check fmt bench kernel test-vm clean distclean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup:
	@tools/setup

# Where CI=true, no test may be skipped, and so all that any of them needs is installed.
setup-tests:
	@tools/setup $(if $(filter true,$(CI)),tests)

demo: setup ## compile an example policy and look at the result
	@tools/demo

test: setup-tests ## the everyday tests (all but tests/vm)
	@$(PYTHON_ENV) -m pytest -n auto --dist loadgroup --ignore=tests/vm $(ARGS)

check: lint types imports docs-check ## linters, types, layers, generated pages

lint: setup
	@$(PYTHON_ENV) -m ruff check
	@$(PYTHON_ENV) -m ruff format --check

types: setup
	@$(PYTHON_ENV) -m mypy

imports: setup
	@.venv/bin/lint-imports --no-logo

docs: setup ## write the generated pages of docs/
	@$(PYTHON_ENV) tools/gen-docs

docs-check: setup
	@$(PYTHON_ENV) tools/gen-docs --check

fmt: setup ## format the Python code, and mend what ruff can
	@$(PYTHON_ENV) -m ruff check --fix
	@$(PYTHON_ENV) -m ruff format

bench: ## measure the compiler against bare clang
	@tools/setup bench
	@bench/run

kernel: setup ## build the test kernel with the OOM hooks (minutes)
	@$(PYTHON_ENV) vm/build-kernel

test-vm: setup ## tests that need the test kernel and QEMU
	@vm/prepare
	@$(PYTHON_ENV) -m pytest tests/vm $(ARGS)

clean: ## remove what was built; distclean removes the environment too
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

distclean: clean
	@rm -rf .venv
	@find oomlang tests -name __pycache__ -type d -prune -exec rm -rf {} +
