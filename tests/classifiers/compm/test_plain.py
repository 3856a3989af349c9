"""The plain TODKAT, which ``benchmarks/train_speed.py`` times against, is ours; the others are tested with theirs."""

from dataclasses import replace

import pytest
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.config import Pooling
from tests.classifiers import plain

LABELS = ("neutral", "joy", "anger", "fear")
WHOLE = TODKATConfig("todkat", 12, True, 8, 1.0, KnowledgeSources.none, None, 2, 2, 32, 0.0, True)


@pytest.mark.parametrize("topic", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("pooling", Pooling)
def test_todkat_a_dialogue_at_a_time_is_todkat(pooling, causal, topic, tiny, make_dialogues, cut, logits):
    torch.manual_seed(0)
    classifier = checkpoint.build(replace(WHOLE, topic=topic, causal=causal), tiny(pooling=pooling), LABELS)
    corpus = make_dialogues(5, LABELS, seed=3)
    found = logits(classifier, [cut(classifier, corpus)])
    with torch.no_grad():
        alone = [plain.todkat(classifier, dialogue) for dialogue in corpus]
    for (n, i), vector in found.items():
        torch.testing.assert_close(vector, alone[n][i], atol=1e-5, rtol=0.0)
