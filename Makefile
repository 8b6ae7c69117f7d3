# make demo    the embedded archive, mounted on ./sky
# make test    everything that must hold: linters, types, layers, tests through real mounts
# make soak    the long forms: thousands of damaged caches, hours' worth of reads in minutes
# make docs    the pages and man pages that are made out of the code, and all of docs/ as a site
# make dist    wheel and sdist, built twice and compared; components and licences beside them
# make bench   cadcfs beside curl, rclone, httpdirfs and astropy with fsspec; writes bench/results.md
# All install what they need, and can be run again at any time.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN_PACKAGES := fuse3 libfuse3-dev pkg-config gcc libc6-dev python3-venv python3-dev
TEST_PACKAGES := nginx-light iproute2 stilts fitsverify libcfitsio-bin source-extractor rsync p7zip-full zip tree iraf vim-tiny nano zsh fish tcsh systemd faketime ripgrep plocate
BENCH_PACKAGES := nginx-light rclone httpdirfs curl libfuse3-dev gcc pkg-config
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TARGET := sky/collections/CFHT/by-target/M31

.PHONY: demo demo-stop test soak bench check docs dist format clean system test-system

demo: $(READY)
	@$(BIN)/cadcfs demo --stop --data-dir .demo sky
	@echo "Building the embedded archive (the first time takes about a minute) ..."
	@$(BIN)/cadcfs demo --background --data-dir .demo sky
	@set -x; ls sky; ls sky/collections; ls -l $(TARGET) $(TARGET)/previews
	@echo
	@echo "The embedded archive is mounted on ./sky. Go on with, for example:"
	@echo "  cat sky/README.txt"
	@echo "  ls sky/collections/CFHT/by-target"
	@echo "  cp $(TARGET)/*p.fits.fz ."
	@echo "Stop it with: make demo-stop"

demo-stop:
	@if [ -x $(BIN)/cadcfs ]; then $(BIN)/cadcfs demo --stop --data-dir .demo sky; fi

test: $(READY) test-system check
	$(BIN)/python -m pytest -n 2 --dist loadfile

soak: $(READY) test-system
	$(BIN)/python -m pytest -m soak

bench: $(READY)
	$(call install,$(BENCH_PACKAGES))
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[bench]'
	$(BIN)/python -m bench
	$(BIN)/python -m scripts.documents

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.documents --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs: $(READY)
	$(BIN)/python -m scripts.documents
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: $(READY)
	$(BIN)/python -m scripts.release --components

clean: demo-stop
	rm -rf $(VENV) .demo .bench .site dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): pyproject.toml requirements.lock | system
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

# Only what is missing is installed, so that a second run needs neither root nor a network.
define install
	@missing=""; for package in $(1); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q "ok installed" \
	    || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "Installing$$missing ..."; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi
endef

system:
	$(call install,$(RUN_PACKAGES))

test-system:
	$(call install,$(TEST_PACKAGES))
