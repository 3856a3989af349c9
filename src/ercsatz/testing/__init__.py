"""Contract suites: what every classifier, loss and sampler promises, as tests for one's own.

A test file is one line beside the import; ``pytest`` runs it::

    from ercsatz.testing import classifier_contract

    TestMine = classifier_contract("mine", config_dir="my_conf")

Needs pytest, which nothing else of ercsatz does.
"""

import pytest

for part in ("parts", "classifiers", "losses", "samplers"):
    pytest.register_assert_rewrite(f"ercsatz.testing.{part}")

from ercsatz.testing.classifiers import classifier_contract  # noqa: E402 - else its asserts would say nothing
from ercsatz.testing.losses import loss_contract  # noqa: E402
from ercsatz.testing.samplers import sampler_contract  # noqa: E402

__all__ = ["classifier_contract", "loss_contract", "sampler_contract"]
