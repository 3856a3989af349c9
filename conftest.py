"""Which tests are collected, in what order, and in what surroundings."""

import os
import signal
from importlib.util import find_spec

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a test runs on every core; threads would only be in each other's way
os.environ["WANDB_ERROR_REPORTING"] = "false"  # W&B would report its tests' errors to its makers, and wait for them
os.environ["WANDB_MODE"] = "disabled"  # but where a test wants it: the fixture logged_out

# A shell ignores Ctrl-C for what it starts in the background, and for all that starts from there; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Modules of an extra that is not installed are not searched for doctests.
collect_ignore = []
if find_spec("text_generation") is None:
    collect_ignore += ["src/ercsatz/generators/tgi.py", "src/ercsatz/generators/tgi_client.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole commands, which take longest: else one worker is at them when the others are done."""
    items.sort(key=lambda item: "tests/commands/" not in item.nodeid)
