"""Contract suites: what every classifier and every loss promises, as tests for one's own.

A test file is one line beside the import; ``pytest`` runs it::

    from ercsatz.testing import classifier_contract

    TestMine = classifier_contract("mine", config_dir="my_conf")

Needs pytest, which nothing else of ercsatz does.
"""

import pytest

pytest.register_assert_rewrite("ercsatz.testing.parts", "ercsatz.testing.classifiers", "ercsatz.testing.losses")

from ercsatz.testing.classifiers import classifier_contract  # noqa: E402 - else its asserts would say nothing
from ercsatz.testing.losses import loss_contract  # noqa: E402

__all__ = ["classifier_contract", "loss_contract"]
