from ercsatz.testing import loss_contract

TestCrossEntropy = loss_contract("cross_entropy")
