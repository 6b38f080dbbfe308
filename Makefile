# secp2psip: every way to build, run and check the project, behind one door.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# a Python that the pjsua2 wheel exists for; PYTHON=/path/to/python3.12 chooses another
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo "$$p" && break; done)

.PHONY: help setup demo test check lint format types arch unit integration adversarial attack attack-quick fuzz-wire fuzz-ring fuzz-sip interop interop-quick interop-sound interop-setup bench bench-sip bench-flood bench-ring endurance screens zero-config clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything in it (Python 3.11 or 3.12, x86-64 Linux, the package index)

$(STAMP): pyproject.toml requirements/pinned.txt
	@test -n "$(PYTHON)" || { echo "secp2psip needs Python 3.11 or 3.12, and none is on the PATH: install python3.11, or say make PYTHON=/path/to/it" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null || { echo "$(PYTHON) is no Python 3.11 or 3.12: say make PYTHON=/path/to/one" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import platform, sys; sys.exit(sys.platform != "linux" or platform.machine() != "x86_64")' || { echo "secp2psip needs Linux on x86-64: the pjsua2 wheel exists for nothing else" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON) ..."
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/pinned.txt \
		|| { echo "the pjsua2 wheel could not be installed: is the package index reachable?" >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]' \
		|| { echo "the packages could not be installed: is the package index reachable?" >&2; exit 1; }
	@touch $@

demo: setup ## eight nodes, two phones, three calls: the whole path with its proofs (ARGS="--threshold 4 --pieces 10")
	@$(PY) -m tests.demo $(ARGS)

test: setup ## everything that needs no root: unit and integration tests, a real call with audio among them
	@$(PY) -m pytest tests $(ARGS)

unit: setup ## the tests without sockets or clocks
	@$(PY) -m pytest tests/unit $(ARGS)

integration: setup ## the tests on loopback: real sockets, processes and audio
	@$(PY) -m pytest tests/integration $(ARGS)

adversarial: setup ## one attacker a file, against the real nodes
	@$(PY) -m pytest tests/adversarial $(ARGS)

attack: setup ## what lying nodes achieve, 500 calls a cell and real processes, against the paper's scheme and stock kademlia; build/attack.{json,svg}
	@$(PY) -m tests.attack $(ARGS)

attack-quick: setup ## the same in under a minute, with the few cells that a promise hangs on
	@$(PY) -m tests.attack --quick --out build/quick $(ARGS)

fuzz-wire: setup ## a million inputs for every decoder, guided by coverage (pip install -e '.[fuzz]'; ARGS="--inputs 20000"); build/fuzz-wire.json
	@$(PY) -m tests.fuzz.wire $(ARGS)

fuzz-ring: setup ## hostile datagrams against one live node (ARGS="--count 10000 --seed 7")
	@$(PY) -m tests.benchmarks.fuzz_ring $(ARGS)

fuzz-sip: setup ## damaged SIP by the hundred thousand: datagrams and streams (ARGS="--datagrams 1000 --streams 1000 --seed 7")
	@$(PY) -m tests.fuzz $(ARGS)

screens: setup ## photograph the commands in terminals of 60 and 120 columns (needs tmux, pulseaudio); docs/screens/
	@$(PY) -m tests.screens $(ARGS)

zero-config: setup ## three hosts of a LAN of namespaces, no address typed (root, iproute2)
	@SECP2PSIP_NETNS=1 $(PY) -m pytest tests/interop/test_zero_config.py $(ARGS)

interop: setup ## real phones on a LAN of namespaces: root, Debian or Ubuntu (ARGS="--only 'call baresip'")
	@$(PY) -m tests.interop $(ARGS)

interop-quick: setup ## the same with five pairs of phones, in under three minutes
	@$(PY) -m tests.interop --quick $(ARGS)

interop-sound: setup ## a call through a virtual sound card: correlation, mouth-to-ear latency, dropouts (PulseAudio); build/bench/sound.json
	@$(PY) -m tests.sound $(ARGS)

interop-setup: ## install the phones and what listens to them (root, apt); says what cannot be had
	@tests/interop/setup.sh

bench: ## every benchmark, one after the other; build/bench/*.json
	@status=0; for one in bench-ring bench-sip bench-flood; do $(MAKE) --no-print-directory $$one || status=1; done; exit $$status

BENCH := $(VENV)/.bench

$(BENCH): $(STAMP)
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[bench]' && touch $@ \
		|| echo "OpenDHT could not be installed: the ring is compared with the stock library alone" >&2

bench-ring: setup $(BENCH) ## the ring against stock kademlia and OpenDHT, some 25 minutes (ARGS=--quick); build/bench/ring.json
	@$(PY) -m tests.benchmarks.bench_ring $(ARGS)

bench-sip: setup ## sipp against one adapter: load, loss, memory (needs apt sip-tester; ARGS="--seconds 5 --refreshes 0"); build/bench/sip.json
	@$(PY) -m tests.benchmarks.sip_load $(ARGS)

bench-flood: setup ## what a flood costs the callee and a good call; build/bench/flood.json
	@$(PY) -m tests.benchmarks.flood $(ARGS)

endurance: setup ## a thousand calls in a row, a hundred killed children; 12 minutes (ARGS="--calls 50 --kills 5"); build/bench/endurance.json
	@$(PY) -m tests.benchmarks.endurance $(ARGS)

lint: setup ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: setup ## ruff: write the format
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

types: setup ## mypy, strict
	@$(PY) -m mypy

arch: setup ## adapter -> overlay <- bootstrap, and pure rooms do no I/O
	@$(VENV)/bin/lint-imports --no-cache

check: lint types arch unit integration adversarial ## lint, types, arch and the tests that need no root

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
