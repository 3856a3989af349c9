"""Settings of ``hydra/launcher=ray``; real sweeps on a real Ray are in ``tests/commands/test_ray.py``."""

from dataclasses import asdict
from importlib.util import find_spec

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

from ercsatz.config.ray_launcher import RayConfig
from ercsatz.errors import UserError
from ercsatz.sweeps.jobs import use_own_launchers
from ercsatz.sweeps.on_ray import run


def test_the_launcher_can_be_chosen_whether_ray_is_installed_or_not_and_is_typed():
    Plugins.instance()  # Hydra brings its own launchers with them
    use_own_launchers()
    node = ConfigStore.instance().load("hydra/launcher/ray.yaml").node
    assert node._target_ == "hydra_plugins.ercsatz_launchers.RayLauncher"
    with pytest.raises(ValidationError):
        OmegaConf.update(node, "num_gpus", "many")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("num_cpus", 0, "num_cpus=0: must be more than 0"),
        ("num_gpus", -1, "num_gpus=-1: must be a share of one"),
        ("num_gpus", 1.5, "num_gpus=1.5: must be a share of one"),
        ("max_retries", -2, "max_retries=-2: must be a number from 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_ray_is_asked(key, value, says):
    with pytest.raises(UserError, match=says):
        run(None, [["seed=0"]], 0, {**asdict(RayConfig()), key: value})


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_how_to_install_it():
    with pytest.raises(UserError, match=r"pip install 'ercsatz\[ray\]'"):
        run(None, [["seed=0"]], 0, {**asdict(RayConfig()), "logs": "logs"})


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_a_cluster_that_does_not_answer_is_named():
    with pytest.raises(UserError, match=r"address=127.0.0.1:1: .*refused"):
        run(None, [["seed=0"]], 0, {**asdict(RayConfig()), "logs": "logs", "address": "127.0.0.1:1"})
