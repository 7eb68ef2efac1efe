# A thin wrapper: what is done stands in lab/ and tests/. `make up` and `make test` are all a newcomer needs.
.DEFAULT_GOAL := help
.PHONY: help up down demo deployments password env test test-unit test-lab test-deploy test-flows test-engine test-edge test-e2e lint bench bench-edge bench-test .venv

CARICA_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/carica-kestra
export CARICA_CACHE
# What the virtual environment is made of: its own directory for each set of pinned packages.
VENV := $(CARICA_CACHE)/venv-$(shell cat requirements.txt requirements-dev.txt | sha256sum | cut -c1-16)
PYTHON := .venv/bin/python
LAB := $(PYTHON) -m lab
PYTEST := $(PYTHON) -m pytest

help: ## show this
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: .venv ## bring the whole desk up on this machine, or make it as the code says
	@$(LAB) up

down: .venv ## take it apart again, data included
	@$(LAB) down

demo: .venv ## watch a new version get served, a broken one rolled back, and a forged call refused
	@$(LAB) demo

deployments: .venv ## print what runs where, since when, from which commit; PULUMI_STACK=prod for another stack
	@$(LAB) deployments

password: .venv ## show the login of Kestra's UI
	@$(LAB) password

env: .venv ## print what plain pulumi commands need: eval "$(make -s env)"
	@$(LAB) env

# One session, so that one desk serves flows, e2e, edge and engine; engine takes it apart at the end.
test: lint ## everything; CI runs this
	@$(PYTEST) tests/unit tests/lab tests/deploy tests/flows tests/e2e tests/edge tests/engine

test-unit: .venv ## rules of settings, components and flows, without an engine: seconds
	@$(PYTEST) tests/unit

test-lab: .venv ## the stand-ins and images of the lab
	@$(PYTEST) tests/lab

test-deploy: .venv ## the deploy host's scripts, against a real engine, compose, Git, sshd and registry
	@$(PYTEST) tests/deploy

test-flows: .venv ## the flows in Kestra's own engine
	@$(PYTEST) tests/flows

test-engine: .venv ## up, preview, change, refresh, destroy with real CLI and Docker
	@$(PYTEST) tests/engine

test-edge: .venv ## attacks on the edge, and that each of its rules stops one
	@$(PYTEST) tests/edge

test-e2e: .venv ## a push ends as a deployment
	@$(PYTEST) tests/e2e

lint: .venv ## style and types; shell scripts and workflows
	@.venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet . && .venv/bin/mypy && $(PYTHON) -m lab.lint

bench: .venv ## measure what the README quotes
	@$(PYTHON) -m tests.bench

bench-edge: .venv ## measure the edge alone: changes under load, hashing, memory, strangers
	@$(PYTHON) -m tests.bench.edge

bench-test: .venv ## time `make test` in a fresh clone; COLD=1: with an empty cache too
	@$(PYTHON) -m tests.bench.suite

# The link follows the pinned packages; Pulumi.yaml names .venv as the program's environment. Times say nothing about it:
# what it points to may be older or newer. In a real directory `ln` would put the link.
.venv: $(VENV)/.complete
	@test -L .venv -o ! -e .venv || { echo "make links its own .venv here, and there is another: move it away" >&2; exit 1; }
	@test "$$(readlink .venv)" = "$(VENV)" || ln -sfn "$(VENV)" .venv

# No prerequisites: the directory's name says what is in it, and other checkouts may be at work in it.
$(VENV)/.complete:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	@mkdir -p $(CARICA_CACHE)
	@flock $(VENV).lock sh -euc 'test ! -e $@ || exit 0; \
	  echo "installing Python packages into $(VENV)" >&2; \
	  rm -rf $(VENV); python3 -m venv $(VENV); \
	  $(VENV)/bin/pip install --quiet --progress-bar off --requirement requirements-dev.txt; \
	  touch $@'
