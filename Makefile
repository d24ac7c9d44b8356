# Everything is set up inside the checkout, in .venv. `make` alone explains.
PYTHON ?= python3
ARGS   ?=

BIN    := .venv/bin
CHECKED = $(wildcard src tests benchmarks examples scripts)
TYPED   = src $(wildcard tests/typing/*.py)
QUICK   = $(wildcard tests/architecture tests/unit)

# No look for a newer pyright.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test check quick static format bench faults properties audit lock clean demo-environment dev-environment peers-environment

help:
	@echo 'make demo       signups, orders, e-mails and killed workers, live; ends with a reconciliation (ARGS="--for 30 --kills 3")'
	@echo '                (on a PostgreSQL server: STORE=postgresql://user@host/database; it makes a schema there, and drops it)'
	@echo 'make test       everything: static checks, all tests, wheel and sdist in clean environments, most tests again with other Pythons that are here (ARGS="-k word" for some tests)'
	@echo 'make check      the fast loop: format, lint, types, import contracts, architecture and unit tests'
	@echo 'make bench      everything beside others, on a file and on servers of its own, and docs/benchmarks.md (ARGS=short: three minutes; ARGS=own: Penstock alone)'
	@echo 'make faults     the fault suite, round by round: kills, power cuts (root), poison, and others, with sums (ARGS="--minutes 60 --seed 1")'
	@echo 'make properties the state machines on both stores, thousands of runs, others with each seed (ARGS="--examples 5000 --seed 7")'
	@echo 'make audit      known vulnerabilities of everything that is locked (asks PyPI about each; fails where it gets no answer)'
	@echo 'make format     write the format and the fixes that are safe'
	@echo 'make lock       make requirements/*.txt again (ARGS=--upgrade for newer releases)'
	@echo 'make clean      remove .venv and everything built'
	@echo
	@echo 'Needs Python 3.11 or later (make PYTHON=python3.12 names another); uses uv if it is there (make UV= does not).'

demo: demo-environment
	@$(BIN)/penstock demo $(if $(STORE),--store '$(STORE)') $(ARGS)

# Most of what the proof takes is waiting: two of its tests at a time.
PROOF = $(addprefix tests/,conformance properties faults mutants)
test: static
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest --numprocesses=2 --dist=worksteal $(PROOF) -m 'not alone'
	$(BIN)/pytest $(PROOF:%=--ignore=%) -m 'not alone'
	$(BIN)/pytest -m alone
endif
	@$(PYTHON) scripts/interpreters $(ARGS)

check: dev-environment
	@$(MAKE) --no-print-directory -j2 static quick

quick: dev-environment
	$(BIN)/pytest $(QUICK) --quiet $(ARGS)

static: dev-environment
	$(BIN)/ruff format --check --quiet $(CHECKED)
	$(BIN)/ruff check --quiet $(CHECKED)
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy $(TYPED)
	$(BIN)/pyright

format: dev-environment
	$(BIN)/ruff check --fix-only --quiet $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

ALONE = $(filter own history growth figures --%,$(firstword $(ARGS)))$(filter --no-peers --help --python --python=%,$(ARGS))
bench: dev-environment $(if $(ALONE),,peers-environment)
	$(BIN)/python -m benchmarks $(ARGS)

faults: dev-environment
	$(BIN)/python -m penstock_faults $(ARGS)

properties: dev-environment
	$(BIN)/python -m tests.properties $(ARGS)

audit:
	@$(PYTHON) scripts/environment audit
	.venv-audit/bin/pip-audit --strict --disable-pip $(foreach lock,$(wildcard requirements/*.txt),--requirement $(lock))

lock:
	@$(PYTHON) scripts/lock $(ARGS)

clean:
	rm -rf .venv .venv.lock .venv-* build dist .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

demo-environment:
	@$(PYTHON) scripts/environment demo

dev-environment:
	@$(PYTHON) scripts/environment dev

peers-environment:
	@$(PYTHON) scripts/environment peers
	@$(PYTHON) scripts/environment peers-saq
