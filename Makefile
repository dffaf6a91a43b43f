# Copyright (c) 2026, Quazzar CA Rotation contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Needs git, make and a Python 3.10 or newer. Everything else goes into .venv and .build; as root on Debian or Ubuntu missing
# system packages are installed too (QUAZZAR_NO_APT=1 keeps that from happening), else the line to run is printed.
PYTHON ?= python3
PY = .venv/bin/python
TOOLS = tests/tools
# Options for pytest: make unit ARGS="-k pool -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo demo test test-nightly package lint sanity ansible-test unit lab trust integration ssh kubernetes \
	molecule docs fuzz matrix build release format changelog clean distclean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## set up .venv with everything that the checks need
	@$(PYTHON) $(TOOLS)/environment.py --dev
	@$(PY) $(TOOLS)/collection.py link > /dev/null

setup-demo:
	@$(PYTHON) $(TOOLS)/environment.py --for demo
	@$(PY) $(TOOLS)/collection.py link > /dev/null

demo: setup-demo  ## the main job on a lab of 24 nodes, from the accident to the proof; no root needed
	@$(PY) tests/demo/demo.py

test: setup  ## all checks; goes on after a failure and sums up at the end
	@$(PY) $(TOOLS)/checks.py

package lint sanity ansible-test unit lab trust integration ssh kubernetes molecule docs fuzz: setup
	@$(PY) $(TOOLS)/checks.py $@ -- $(ARGS)

package:  ## build, install and call everything by full name; galaxy-importer, ansible-builder introspect and create
lint:  ## ruff, mypy, yamllint, ansible-lint (production, nothing skipped), reuse, antsibull-changelog
sanity:  ## ansible-test sanity on the oldest and the newest ansible-core, nothing ignored
ansible-test:  ## ansible-test units (some) and integration on the oldest and the newest ansible-core
unit:  ## unit tests, and what must hold for the whole repository
lab:  ## tests of the lab
trust:  ## every identity with every pin at every replica, by OpenSSL and Go, as tables in .build/reports/matrix
integration:  ## playbooks of the installed collection against the lab
ssh:  ## the same over real OpenSSH servers on loopback
kubernetes:  ## the Control Panel in pods of the cluster that KUBECONFIG names, see tests/README.md
molecule:  ## scenarios on real hosts with systemd, OpenSSH and sudo; needs root (ARGS="-k accident" for one of them)
fuzz:  ## a million odd inputs for everything that reads (ARGS="--count 5000 --target bundle --seed x")
docs:  ## antsibull-docs lint over plugins and roles, and the pages made of it

test-nightly: setup  ## what takes too long for every change
	@$(PY) $(TOOLS)/checks.py nightly -- $(ARGS)

matrix: setup  ## sanity, unit tests, targets on each supported ansible-core, Molecule on two (CORES="2.16 2.21" for some)
	@$(PY) $(TOOLS)/matrix.py $(CORES)

build: setup  ## the archive to publish, in .build
	@$(PY) $(TOOLS)/collection.py build

release: setup  ## build what would be published, check it, say what it is and how to publish it; publishes nothing
	@$(PY) $(TOOLS)/release.py

format: setup  ## put Python files into shape
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

changelog: setup  ## write CHANGELOG.md anew from changelogs/fragments for the version in galaxy.yml
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/antsibull-changelog release --update-existing --refresh --reload-plugins

clean:  ## remove what was built, but not .venv
	@rm -rf .build .cache .ansible tests/output

distclean: clean  ## remove .venv too
	@rm -rf .venv
