# Each target sets up what it needs; tools/setup does it once and says what it does.
.DEFAULT_GOAL := help
# What a user's shell exports must not change which modules are found, nor have every process
# of a test compile vmio anew.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
ARGS ?=

.PHONY: help
help: ## lists these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

.PHONY: demo
demo: ## shows ignored and working I/O threads on real QEMU guests, with a report
	@tools/setup run --qemu
	@$(BIN)/python examples/demo.py $(ARGS)

.PHONY: test
test: setup-test ## checks everything and runs every test (ARGS=... for pytest)
	@$(MAKE) --no-print-directory --jobs --output-sync --keep-going check-format lint contracts
	@$(MAKE) --no-print-directory --jobs run-tests types

.PHONY: check
check: ## runs the four checks below, side by side
	@$(MAKE) --no-print-directory --jobs --output-sync --keep-going check-format lint types contracts

.PHONY: format
format: setup-dev ## rewrites the code in the project's format and fixes what ruff can
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

.PHONY: check-format
check-format: setup-dev ## says which files `make format` would change
	@$(BIN)/ruff format --check

.PHONY: lint
lint: setup-dev ## runs ruff with every rule, and shellcheck on the scripts
	@$(BIN)/ruff check
	@$(BIN)/shellcheck tools/setup tools/lock .ci/run src/vmio/guest/init src/vmio/guest/shutdown

.PHONY: types
types: setup-dev ## runs mypy --strict
	@$(BIN)/mypy

.PHONY: contracts
contracts: setup-dev ## checks who may import whom
	@$(BIN)/lint-imports --no-logo

.PHONY: docs
docs: setup-dev ## rewrites the pages and pictures of docs/ that are made from the code
	@$(BIN)/python -m vmio.lint.pages docs/rules
	@$(BIN)/python -m vmio.report.polling.pictures docs/concepts
	@$(BIN)/python tools/document_api.py docs/api
	@$(BIN)/python tools/document_cli.py docs/cli
	@$(BIN)/python -m vmio.report.schema docs/schema
	@$(BIN)/python -m vmio.exporter.pages docs/metrics.md

.PHONY: bench
bench: setup-dev ## measures the cold start of vmio's light verbs
	@$(BIN)/python bench/cold_start.py

.PHONY: lock
lock: ## pins the newest versions that pyproject.toml allows, with hashes
	@tools/setup lock
	@tools/lock

.PHONY: clean
clean: ## removes the virtual environment, caches, the report and what was built
	@rm -rf .venv build dist vmio-report.html .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find bench examples src tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# mypy has one thread and takes the longest, so tests begin meanwhile; named first, they have the
# terminal that a debugger needs. A test calls make too, which is not to take part in this.
.PHONY: run-tests
run-tests:
	@env --unset=MAKEFLAGS --unset=MAKELEVEL $(BIN)/pytest $(ARGS)

.PHONY: setup-dev
setup-dev:
	@tools/setup dev

.PHONY: setup-test
setup-test:
	@tools/setup dev --qemu
