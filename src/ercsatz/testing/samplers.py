"""What every sampler promises."""

import math
from pathlib import Path

import pytest

from ercsatz.config import SamplerConfig
from ercsatz.testing.parts import PartContract, composed, open_folder

SEGMENTS: tuple[list[int], ...] = ([0, 0, 0, 1], [0], [2, 0], [], [1, 1, 3])
"""Class indices of the targets of some segments, of which one has no label."""


def sampler_contract(name: str, config_dir: str | Path | None = None) -> type["SamplerContract"]:
    """The tests of a sampler, as a class that pytest finds under a name that begins with ``Test``.

    Args:
        name: of ``sampler/NAME.yaml``.
        config_dir: the folder that has it; None: it is shipped, or an installed package's.

    Raises:
        UserError: there is no such folder.
    """
    open_folder(config_dir)
    return type(f"Test_{name}", (SamplerContract,), {"name": name})


class SamplerContract(PartContract):
    """Tests of a sampler and of its YAML."""

    group = "sampler"

    @pytest.fixture
    def sampler(self) -> SamplerConfig:
        """The sampler, with the options of its YAML."""
        made: SamplerConfig = composed("sampler", self.name).sampler
        return made

    def test_each_segment_has_a_weight_and_something_can_be_drawn(self, sampler: SamplerConfig) -> None:
        """Finite numbers, 0 or more, one of them at least above 0; also where there is one label only."""
        for segments in (SEGMENTS, [[2], [2, 2]], [[0]]):
            weights = list(sampler.weights(segments))
            assert len(weights) == len(segments)
            assert all(0 <= weight < math.inf for weight in weights)
            assert any(weights)

    def test_a_weight_is_of_the_segment_whatever_its_place(self, sampler: SamplerConfig) -> None:
        """The same segments in another order have the same weights in that order; and asking again changes none."""
        weights = list(sampler.weights(SEGMENTS))
        assert list(sampler.weights(SEGMENTS[::-1])) == pytest.approx(weights[::-1])
        assert list(sampler.weights(SEGMENTS)) == weights
