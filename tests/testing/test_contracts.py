"""The contract suites find what is wrong; that they pass what is right is seen wherever they are used."""

from dataclasses import dataclass

import pytest
from torch.nn.functional import cross_entropy

from ercsatz.config import LossConfig
from ercsatz.errors import UserError
from ercsatz.testing import classifier_contract, loss_contract
from ercsatz.testing.losses import LossContract
from ercsatz.testing.parts import composed


@dataclass
class Mean(LossConfig):
    def total(self, logits, labels):
        return cross_entropy(logits, labels)


@dataclass
class Unlabelled(LossConfig):
    def total(self, logits, labels):
        return cross_entropy(logits, labels.clamp(min=0), reduction="sum")


@dataclass
class Overflowing(LossConfig):
    def total(self, logits, labels):
        known = labels >= 0
        shares = logits.exp() / logits.exp().sum(1, keepdim=True)
        return -shares[known].gather(1, labels[known, None]).log().sum()


@dataclass
class Rising(LossConfig):
    def total(self, logits, labels):
        return 1e4 - cross_entropy(logits, labels, reduction="sum")


@pytest.mark.parametrize(
    ("loss", "test"),
    [
        (Mean, LossContract.test_it_is_a_sum_over_targets),
        (Unlabelled, LossContract.test_a_target_without_a_label_counts_for_nothing),
        (Unlabelled, LossContract.test_its_gradient_is_finite_and_that_of_an_unlabelled_target_is_0),
        (Overflowing, LossContract.test_it_is_one_finite_number_that_is_not_below_0),
        (Overflowing, LossContract.test_its_gradient_is_finite_and_that_of_an_unlabelled_target_is_0),
        (Rising, LossContract.test_descending_it_finds_the_labels),
    ],
)
def test_a_wrong_loss_breaks_the_contract(loss, test):
    with pytest.raises(AssertionError):
        test(LossContract(), loss("wrong").total)


@pytest.mark.parametrize("contract", [classifier_contract, loss_contract])
def test_a_folder_that_is_not_there_is_named(contract, tmp_path):
    with pytest.raises(UserError, match=r"config_dir=.*nowhere: there is no such folder"):
        contract("mine", config_dir=tmp_path / "nowhere")


def test_a_part_that_is_not_there_is_named_with_the_folders_that_were_searched():
    with pytest.raises(UserError, match=r"There is no absent\.yaml in .*conf/loss\. Give the folder that has loss/abs"):
        composed("loss", "absent")
