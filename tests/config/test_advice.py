from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.conf import ConfigSourceInfo
from hydra.core.hydra_config import HydraConfig

from ercsatz import config
from ercsatz.cli import CONF
from ercsatz.config.advice import advised, advised_fetch


def test_outside_of_a_command_nothing_is_repeated():
    assert advised("generate", "data=meld_bal") == "python generate.py data=meld_bal"
    assert advised_fetch("meld", "my data") == "ercsatz fetch meld --to 'my data'"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job with a config folder of the user's own, and changes of several kinds."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own"
    (own / "benchmark").mkdir(parents=True)
    config.register([Path(CONF)])
    changes = [
        "seed=3",
        "paths.data=/else where",
        "benchmark.published=null",
        "data.path=there",
        "+benchmark.files.x=y",
    ]
    with initialize_config_dir(config_dir=CONF, version_base="1.3"):
        cfg = compose("train", overrides=changes, return_hydra_config=True)
        cfg.hydra.overrides.hydra = ["hydra.run.dir=x", "hydra.searchpath=[file://more]"]
        cfg.hydra.runtime.config_sources = [
            ConfigSourceInfo(CONF, "file", "main"),
            ConfigSourceInfo(str(own), "file", "command-line"),
            ConfigSourceInfo("/more", "file", "hydra.searchpath in command-line"),
            ConfigSourceInfo("", "structured", "schema"),
        ]
        HydraConfig.instance().set_config(cfg)
        yield
        HydraConfig.instance().cfg = None


@pytest.mark.usefixtures("job")
def test_the_advised_command_repeats_what_the_other_run_would_lack():
    assert advised("generate", "data=small_nat") == (
        "python generate.py data=small_nat 'hydra.searchpath=[file://more]' 'paths.data=/else where' "
        "benchmark.published=null +benchmark.files.x=y --config-dir own"
    )
    assert "data.path=there" in advised("generate", "data=small_nat", keep=("data.path",))
    assert "paths.data=/else" not in advised("generate", "paths.data=mine")
    assert advised_fetch("small", "/x") == "ercsatz fetch small --config-dir own --config-dir /more --to /x"
