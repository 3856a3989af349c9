# Each target does its own set-up: an environment in .venv, from constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TRANSFORMERS ?= 4.57.6
INSTALLED := $(VENV)/.installed
# One test more at a time than there are cores: whole commands wait a lot.
WORKERS := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25 --durations-min 15
# What imports no transformers gives the same on any version of it.
ANY_TRANSFORMERS := $(addprefix --ignore=,tests/artifacts tests/assessment tests/data tests/config tests/quality \
    tests/ranking tests/reporting tests/sweeps tests/test_architecture.py tests/test_disk.py tests/test_imports.py \
    tests/test_signals.py src/ercsatz/ranking \
    $(addprefix tests/hostile/,test_corpus.py test_prompts.py test_publisher.py test_yaml.py) \
    $(addprefix tests/commands/test_,assess.py bad_input.py full_disk.py hostile_text.py kills.py launchers.py \
        odd_values.py own_generator.py permissions.py rank.py rank_many.py secrets.py signals.py sweep_identity.py \
        workers.py))
# What needs neither PyTorch nor a whole command.
FAST := $(addprefix tests/,artifacts/test_keys.py data llm/test_journal.py llm/test_probe.py llm/test_progress.py \
    reporting ranking/test_bayes.py ranking/test_effect_sizes.py ranking/test_exact_test.py ranking/test_friedman.py \
    ranking/test_metrics.py ranking/test_p_adjustment.py ranking/test_posthoc.py ranking/test_read.py \
    ranking/test_scores.py ranking/test_signed_rank.py ranking/test_table.py quality/test_agreement.py \
    quality/test_measure.py quality/test_text_similarity.py generation/test_parse.py generation/test_plan.py \
    generation/test_mangled.py generators/offline generators/test_urls.py judging/test_pairs.py judging/test_read.py \
    judging/test_rubric.py knowledge/test_relations.py knowledge/test_sidecar.py knowledge/test_text_form.py \
    knowledge/test_unpickle.py prediction/test_read.py prediction/test_write.py sweeps/test_dry_run.py \
    sweeps/test_result_file.py sweeps/test_results.py test_architecture.py)

.PHONY: demo test-fast test test-all test-transformers5 lint bench

demo: $(INSTALLED)  ## the main job on mini: write two data sets, train, rank
	$(BIN)/python generate.py -m data=mini_nat,mini_bal plan.n_dialogues=200
	OMP_NUM_THREADS=1 $(BIN)/python train.py -m classifier=compm data=mini_nat,mini_bal backbone=tiny sweep=demo \
	    training.epochs=4 training.batch_tokens=1024

test-fast: $(INSTALLED)  ## the unit tests of what needs neither PyTorch nor a whole command: under 90 s
	$(BIN)/pytest $(PARALLEL) $(FAST)

test: $(INSTALLED)  ## the tests, without the slow ones
	$(BIN)/pytest $(PARALLEL)

test-all: $(INSTALLED)  ## all tests
	$(BIN)/pytest $(PARALLEL) -m "slow or not slow" --timeout 3600

test-transformers5:  ## the tests that need no text-generation client, on transformers 5
	$(MAKE) .venv5/.installed VENV=.venv5 EXTRAS=openai,serving,dev TRANSFORMERS=5.23.0
	.venv5/bin/pytest $(PARALLEL) $(ANY_TRANSFORMERS) -m "not slow and not tgi"

lint: $(INSTALLED)  ## ruff, mypy --strict, and what may import what
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(INSTALLED)  ## speed, as ratios measured in one run
	$(BIN)/python benchmarks/train_speed.py $(if $(MELD),--meld $(MELD))
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/generators.py
	$(BIN)/python benchmarks/generation.py

EXTRAS ?= tgi,openai,dev
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ercsatz needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]" transformers==$(TRANSFORMERS)
	touch $@
