# Two commands are enough: `make demo` shows it, `make test` proves it. Both set up what they need in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint types contracts proto proto-check bench manifests lock clean setup

# The environment: everything pinned with hashes, edgeclient itself from this folder.
setup: $(VENV)/.ready

$(VENV)/.ready: tests/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgeclient needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup  ## the main job, shown; KEEP=1 stays up for trying by hand
	@$(BIN)/edgeclient demo $(if $(KEEP),--keep)

test: setup  ## all tests
	$(BIN)/python -m pytest $(ARGS)

lint: setup  ## style, types, import contracts, API rules, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code

proto: setup  ## generate edgeclient/v1 from protos/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. \
	  protos/edgeclient/v1/*.proto

proto-breaking: setup  ## the API against the one of AGAINST (a git ref)
	$(BIN)/buf breaking protos --against '.git#ref=$(or $(AGAINST),HEAD~1),subdir=protos'

bench: setup  ## measurements: a table and a plot
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/requirements.lock
	$(BIN)/python tests/bench $(ARGS)

manifests:  ## write what `kubectl apply -f deploy/` takes
	@{ echo '# Made by `make manifests` from overlays/jetson, where the reasons stand. Change it there.'; \
	  $(if $(shell command -v kustomize),kustomize build,kubectl kustomize) deploy/overlays/jetson; } > deploy/.rendered
	@mv deploy/.rendered deploy/edgeclient.yaml

lock: setup  ## renew the lock files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --group dev -o tests/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --extra redis -c tests/requirements.lock -o requirements.lock

clean:  ## remove what was made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
