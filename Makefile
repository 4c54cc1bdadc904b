# make run [ARGS="opensnoop --pid 42"]   sets up what is missing and opens the dashboard (as root, through sudo)
# make setup                             only the set-up: .venv/bin/ebtop
# make test [ARGS="-k runqlat"]          all tests, those that need the kernel as root
# make check                             style, types, layers, and the wheel in an environment of its own
# make test-vm [ARGS="6.1-rt"]           ebtop on other kernels, emulated: the newest 6.1 and 6.12 of the distribution
# make faults [ARGS="kill storm"]         ebtop killed, stopped, flooded and misled: one table, as root
# make fuzz [ARGS="--minutes 10"]        damaged programs against what reads ELF files and DWARF
# make bench [ARGS="startup"]            measures ebtop beside other tracers, as root; ARGS=--help lists the groups
# make screenshots                       screenshots/ from real runs, as root
# make clean                             removes what these made
#
# Packages come from apt where there is one; a stamp in .venv says that a set-up is done.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
# The distribution's Python first: it has the shortest way to the distribution's bcc.
PYTHONS := /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.PHONY: setup run test test-vm check faults fuzz bench screenshots clean
.DELETE_ON_ERROR:

setup: $(VENV)/.setup

run: $(VENV)/.setup
	@$(SUDO) $(BIN)/ebtop $(ARGS)

# Two workers for each CPU: screens wait for most of the time. Exit code 5 of pytest: ARGS chose tests of the other half only.
test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not kernel" -n $$((2 * $$(nproc))) --dist worksteal $(ARGS) || [ $$? = 5 ]
	$(SUDO) PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m pytest -m kernel -p no:cacheprovider $(ARGS) || [ $$? = 5 ]

# Not as root: nothing here needs it, and whoever owns the cache of kernels can remove it.
test-vm: $(VENV)/.vm
	$(BIN)/python -m tests.vm $(ARGS)

check: $(VENV)/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p tests.bench -p tests.loads -p tests.screenshots -p tests.vm -p tests.faults -p tests.fuzz
	$(BIN)/lint-imports
	.ci/wheel $(BIN)/python

faults: $(VENV)/.test
	$(SUDO) PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.faults $(ARGS)

# Not as root: it opens nothing but what it makes.
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(VENV)/.bench
	$(SUDO) PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.bench $(ARGS)

screenshots: $(VENV)/.screenshots
	$(SUDO) PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.screenshots $(ARGS)

clean:
	rm -rf $(VENV) build dist bench-results fuzz-results snapshot_report.html .*_cache .hypothesis *.egg-info
	find ebtop tests -name __pycache__ -prune -exec rm -rf {} +

# An environment whose Python has gone (a distribution upgrade) is made anew.
$(VENV)/.setup: pyproject.toml Makefile
	@.ci/packages python3-venv python3-bpfcc
	@$(BIN)/python -c 'import pip' 2>/dev/null || for python in $(PYTHONS); do \
	    if $$python -c '$(USABLE)' 2>/dev/null; then $$python -m venv --clear $(VENV) && break; fi; done
	@$(BIN)/python -c 'import pip' || { echo "No Python 3.11 or newer with the venv module was found." >&2; exit 1; }
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --editable .
	@$(BIN)/python -m compileall -q ebtop
	@touch $@

# g++ brings the C library's headers; the question marks are cross-checks that skip themselves where they are missing.
$(VENV)/.test: $(VENV)/.setup
	@.ci/packages gcc g++ '?tmux' '?strace' '?nginx-light' '?postgresql' '?sudo' '?iproute2' '?bpftrace' '?libbpf-tools' \
	    '?lld' '?systemtap-sdt-dev' '?xz-utils' '?gdb' '?mold' '?golang-go' \
	    "?bpftool|linux-tools-$$(uname -r)|linux-tools-generic" \
	    "?linux-perf|linux-tools-$$(uname -r)|linux-tools-generic"
	$(PIP) install --group test
	@touch $@

$(VENV)/.check: $(VENV)/.test
	$(PIP) install --group check
	@touch $@

$(VENV)/.vm: $(VENV)/.test
	@.ci/packages qemu-system-x86 busybox-static
	@touch $@

$(VENV)/.fuzz: $(VENV)/.test
	$(PIP) install --group fuzz
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@.ci/packages '?libbpf-tools' '?bpfcc-tools' '?bpftrace' "?linux-perf|linux-tools-$$(uname -r)|linux-tools-generic"
	@touch $@

$(VENV)/.screenshots: $(VENV)/.test
	@.ci/packages libcairo2 fonts-dejavu-core nginx-light curl
	$(PIP) install --group screenshots
	@touch $@
