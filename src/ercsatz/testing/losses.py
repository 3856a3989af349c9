"""What every loss promises."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ercsatz.classifiers.base import NO_LABEL
from ercsatz.config import LossConfig
from ercsatz.config.loss import Total
from ercsatz.testing.parts import PartContract, composed, open_folder

COUNTS = (400, 120, 30, 9)


def loss_contract(name: str, config_dir: str | Path | None = None) -> type["LossContract"]:
    """The tests of a loss, as a class that pytest finds under a name that begins with ``Test``.

    Args:
        name: of ``loss/NAME.yaml``.
        config_dir: the folder that has it; None: it is shipped, or an installed package's.

    Raises:
        UserError: there is no such folder.
    """
    open_folder(config_dir)
    return type(f"Test_{name}", (LossContract,), {"name": name})


class LossContract(PartContract):
    """Tests of a loss and of its YAML."""

    group = "loss"

    @pytest.fixture
    def prepared(self) -> Callable[[Sequence[int]], Total]:
        """The loss by label counts, with the options of its YAML."""
        made: LossConfig = composed("loss", self.name).loss
        return made.prepared

    @pytest.fixture
    def loss(self, prepared: Callable[[Sequence[int]], Total]) -> Total:
        """The loss where the labels are not equally frequent."""
        return prepared(COUNTS)

    def test_it_is_one_finite_number_that_is_not_below_0(self, loss: Total) -> None:
        """Of any logits, far too sure ones among them."""
        logits, labels = targets()
        for scale in (0.0, 1.0, 1e4):
            total = loss(logits * scale, labels)
            assert total.shape == ()
            assert total.isfinite()
            assert total >= 0

    def test_it_is_a_sum_over_targets(self, loss: Total) -> None:
        """So a batch that exceeds the memory can be run in parts."""
        logits, labels = targets()
        parts = [loss(logits[rows], labels[rows]) for rows in (slice(0, 5), slice(5, None))]
        torch.testing.assert_close(sum(parts), loss(logits, labels))

    def test_a_target_without_a_label_counts_for_nothing(self, loss: Total) -> None:
        """Its label is -100; a batch may have no other."""
        logits, labels = targets()
        unlabelled = torch.full_like(labels, NO_LABEL)
        both = loss(torch.cat([logits, 3 * logits]), torch.cat([labels, unlabelled]))
        torch.testing.assert_close(both, loss(logits, labels))
        assert loss(logits, unlabelled) == 0

    def test_its_gradient_is_finite_and_that_of_an_unlabelled_target_is_0(self, loss: Total) -> None:
        """Of any logits."""
        logits, labels = targets()
        labels[3] = NO_LABEL
        for scale in (0.0, 1.0, 1e4):
            moved = (logits * scale).requires_grad_()
            loss(moved, labels).backward()
            assert moved.grad is not None
            assert moved.grad.isfinite().all()
            assert not moved.grad[3].any()

    def test_descending_it_finds_the_labels(self, loss: Total) -> None:
        """It is minimised where the logits say what the labels say."""
        logits, labels = targets()
        moved = logits.clone().requires_grad_()
        optimizer = torch.optim.Adam([moved], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            loss(moved, labels).backward()
            optimizer.step()
        assert loss(moved, labels) < loss(logits, labels)
        assert moved.argmax(1).tolist() == labels.tolist()

    def test_labels_that_do_not_occur_in_training_leave_it_finite(
        self, prepared: Callable[[Sequence[int]], Total]
    ) -> None:
        """A small share of a corpus may lack one; and another split may have a target with it."""
        logits, labels = targets()
        for counts in ((50, 0, 3, 0), (0, 0, 1, 0)):
            moved = logits.clone().requires_grad_()
            total = prepared(counts)(moved, labels)
            total.backward()
            assert total.isfinite()
            assert moved.grad is not None
            assert moved.grad.isfinite().all()


def targets() -> tuple[Tensor, Tensor]:
    """(12, 4) logits and (12,) labels, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 4, generator=generator), torch.randint(0, 4, (12,), generator=generator)
