"""What every classifier promises."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.feature_cache import with_vectors
from ercsatz.classifiers.segments import Segment
from ercsatz.config import ClassifierConfig, Pooling
from ercsatz.data.dialogue import Dialogue, Utterance, label_counts
from ercsatz.testing.dialogues import knowing, make_dialogues, quick, tiny
from ercsatz.testing.parts import PartContract, composed, open_folder

LABELS = ("neutral", "joy", "anger", "fear")
Logits = dict[tuple[int, int], Tensor]
"""Of each target, by dialogue and turn: (labels,)."""


def classifier_contract(
    name: str, config_dir: str | Path | None = None, **options: Any
) -> type["ClassifierPartContract"]:
    """The tests of a classifier, as a class that pytest finds under a name that begins with ``Test``.

    Args:
        name: of ``classifier/NAME.yaml``.
        config_dir: the folder that has it; None: it is shipped, or an installed package's.
        options: what differs from the YAML, to test a variant.

    Raises:
        UserError: there is no such folder.
    """
    open_folder(config_dir)
    return type(f"Test_{name}", (ClassifierPartContract,), {"name": name, "changed": options})


class ClassifierContract:
    """Tests of a classifier; what derives from it has a fixture ``config``, its options."""

    @pytest.fixture
    def classifier(self, config: ClassifierConfig) -> ErcClassifier:
        """A new one with random weights."""
        return build(config)

    def test_it_predicts_each_labelled_turn_and_no_other(self, classifier: ErcClassifier) -> None:
        """One row of logits each."""
        dialogues = corpus()
        found = logits(classifier, [cut(classifier, dialogues)])
        turns = [(n, i, turn) for n, d in enumerate(dialogues) for i, turn in enumerate(d.utterances)]
        assert found.keys() == {(n, i) for n, i, turn in turns if turn.emotion is not None}
        assert {tuple(vector.shape) for vector in found.values()} == {(len(LABELS),)}

    def test_a_batch_has_the_labels_of_its_places(self, classifier: ErcClassifier) -> None:
        """``labels`` and ``places`` are of the same targets, in one order."""
        dialogues = corpus()
        batch = classifier.module.collate(cut(classifier, dialogues))
        emotions = [dialogues[number].utterances[turn].emotion for number, turn in batch.places]
        assert [LABELS[i] for i in batch.labels.tolist()] == emotions
        assert len(emotions) == label_counts(dialogues).total()

    def test_padding_and_batch_composition_do_not_change_a_prediction(self, classifier: ErcClassifier) -> None:
        """Alone, with others, in another order, or cut to a smaller budget."""
        whole, small = (cut(classifier, corpus(), budget) for budget in (10**9, 30))
        one_by_one = logits(classifier, [[segment] for segment in whole])
        assert_same(logits(classifier, [whole]), one_by_one)
        assert_same(logits(classifier, [whole[::-1][:5], whole[:3]]), one_by_one)
        assert_same(logits(classifier, [small[::2], small[1::2]]), one_by_one)
        assert_same(logits(classifier, [[segment] for segment in small]), one_by_one)

    def test_turns_without_a_label_are_predicted_if_asked(self, classifier: ErcClassifier) -> None:
        """And those with one are predicted the same then."""
        dialogues = corpus()
        asked = cut(classifier, dialogues, every_turn=True)
        found = logits(classifier, [asked])
        assert found.keys() == {(n, i) for n, d in enumerate(dialogues) for i in range(len(d.utterances))}
        labelled = logits(classifier, [cut(classifier, dialogues)])
        assert_same({place: found[place] for place in labelled}, labelled)
        batch = classifier.module.collate(asked)
        known = [dialogues[n].utterances[i].emotion is not None for n, i in batch.places]
        assert (batch.labels >= 0).tolist() == known

    def test_later_turns_matter_only_where_it_says_so(self, classifier: ErcClassifier) -> None:
        """``reads_later_turns`` of its options is true exactly where a dialogue that goes on changes a prediction."""
        dialogues = corpus()
        heads = [replace(d, utterances=d.utterances[: max(1, len(d.utterances) // 2)]) for d in dialogues]
        full, short = (logits(classifier, [cut(classifier, each)]) for each in (dialogues, heads))
        assert len(short) < len(full)
        changed = max(float((full[place] - vector).abs().max()) for place, vector in short.items())
        assert (changed > ATOL) == classifier.config.reads_later_turns, f"logits change by up to {changed:.2g}"

    def test_other_dialogues_do_not_matter(self, classifier: ErcClassifier) -> None:
        """A prediction is the same whatever else is in the batch."""
        dialogues = corpus()
        expected = logits(classifier, [cut(classifier, dialogues)])
        others = knowing(make_dialogues(len(dialogues), LABELS, seed=2, turns=(3, 8)), seed=1)
        for kept, dialogue in enumerate(dialogues):
            mixed = [dialogue if i == kept else other for i, other in enumerate(others)]
            found = logits(classifier, [cut(classifier, mixed)])
            mine = {place: vector for place, vector in expected.items() if place[0] == kept}
            assert_same({place: found[place] for place in mine}, mine)

    def test_a_dialogue_of_one_turn_can_be_a_batch(self, classifier: ErcClassifier) -> None:
        """There are no earlier turns of anyone in it."""
        first = logits(classifier, [cut(classifier, [Dialogue("1", (Utterance("Ann", "oh", "fear"),))])])
        assert first[0, 0].isfinite().all()

    @pytest.mark.parametrize("pooling", Pooling)
    def test_a_saved_classifier_predicts_the_same(
        self, config: ClassifierConfig, pooling: Pooling, tmp_path: Path
    ) -> None:
        """To the bit, and it has the same options."""
        classifier = build(config, pooling=pooling)
        descend(classifier, classifier.module.collate(cut(classifier, corpus())), steps=1)
        checkpoint.save(classifier, tmp_path / "saved")
        loaded = checkpoint.load(tmp_path / "saved")
        assert (loaded.config, loaded.labels, loaded.pretrained.pooling) == (config, LABELS, pooling)
        expected, found = (logits(each, [cut(each, corpus())]) for each in (classifier, loaded))
        assert all(torch.equal(found[place], vector) for place, vector in expected.items())

    def test_nothing_that_is_saved_is_pickled(self, classifier: ErcClassifier, tmp_path: Path) -> None:
        """Whoever loads it runs no code from the folder."""
        checkpoint.save(classifier, tmp_path / "saved")
        files = [file for file in (tmp_path / "saved").rglob("*") if file.is_file()]
        assert {file.suffix for file in files} <= {".json", ".safetensors", ".txt"}

    def test_it_learns_eight_dialogues_by_heart(self, classifier: ErcClassifier) -> None:
        """In 150 steps."""
        dialogues = make_dialogues(8, LABELS, seed=3, turns=(1, 4))
        batch = classifier.module.collate(cut(classifier, dialogues))
        descend(classifier, batch, steps=150)
        predicted = logits(classifier, [cut(classifier, dialogues)])
        assert [int(predicted[place].argmax()) for place in batch.places] == batch.labels.tolist()

    def test_a_seed_decides_weights_and_training(self, config: ClassifierConfig) -> None:
        """The random state is the only one."""

        def weights(seed: int) -> list[Tensor]:
            classifier = build(config, seed)
            descend(classifier, classifier.module.collate(cut(classifier, corpus())), steps=2)
            return list(classifier.module.state_dict().values())

        assert all(map(torch.equal, weights(4), weights(4)))
        assert not all(map(torch.equal, weights(4), weights(5)))

    def test_what_is_frozen_stays_as_it_was_pretrained(self, classifier: ErcClassifier) -> None:
        """``frozen()`` is all that is not trained."""
        module = classifier.module
        fixed = {id(parameter) for parameter in module.parameters() if not parameter.requires_grad}
        frozen = module.frozen()
        assert fixed == ({id(parameter) for parameter in frozen.parameters()} if frozen else set())
        before = [parameter.clone() for parameter in frozen.parameters()] if frozen else []
        descend(classifier, module.collate(cut(classifier, corpus())), steps=1)
        if frozen:
            assert all(map(torch.equal, before, frozen.parameters()))
            assert not frozen.training

    def test_half_precision_predicts_much_the_same(self, classifier: ErcClassifier) -> None:
        """bfloat16, as on a GPU."""
        expected = logits(classifier, [cut(classifier, corpus())])
        with torch.autocast("cpu", torch.bfloat16):
            found = logits(classifier, [cut(classifier, corpus())])
        for place, vector in expected.items():
            torch.testing.assert_close(found[place].float(), vector, atol=0.1, rtol=0.1)

    def test_all_tensors_of_a_batch_move_with_it(self, classifier: ErcClassifier) -> None:
        """To another device; also those in fields of their own."""
        batch = classifier.module.collate(cut(classifier, corpus())).to(torch.device("meta"))
        found: set[str] = set()

        def note(tensor: Tensor) -> Tensor:
            found.add(tensor.device.type)
            return tensor

        batch.each(note)
        assert found == {"meta"}
        assert not [value for value in vars(batch).values() if isinstance(value, Tensor) and not value.is_meta]


class ClassifierPartContract(ClassifierContract, PartContract):
    """Tests of a classifier and of its YAML.

    Attributes:
        changed: options that differ from the YAML.
    """

    group = "classifier"
    changed: dict[str, Any]

    @pytest.fixture
    def config(self) -> ClassifierConfig:
        """The options of its YAML, with what differs."""
        made: ClassifierConfig = composed("classifier", self.name).classifier
        return replace(made, **self.changed)


# Pieces of the tests, for tests of one's own as well

ATOL = 1e-5


def corpus() -> list[Dialogue]:
    """Six dialogues of one to seven turns, with knowledge about some."""
    return knowing(make_dialogues(6, LABELS, seed=1, turns=(1, 7)))


def build(config: ClassifierConfig, seed: int = 0, pooling: Pooling = Pooling.mean) -> ErcClassifier:
    """A new classifier on tiny encoders, with random weights from a seed."""
    torch.manual_seed(seed)
    encoders = {name: quick(each) for name, each in config.encoders().items()}
    return checkpoint.build(config, tiny(pooling=pooling), LABELS, encoders)


def cut(
    classifier: ErcClassifier, dialogues: Sequence[Dialogue], budget: int = 10**9, every_turn: bool = False
) -> list[Segment]:
    """Dialogues as segments for a classifier: a dialogue is one segment unless a budget is given."""
    module = classifier.module
    tokenised = module.tokeniser.tokenise(dialogues, classifier.labels, None, every_turn)
    return module.segments(with_vectors(module, tokenised, torch.device("cpu"), None), budget)


def logits(classifier: ErcClassifier, batches: Iterable[Sequence[Segment]]) -> Logits:
    """Logits in evaluation mode of batches of segments."""
    classifier.module.eval()
    result: Logits = {}
    with torch.no_grad():
        for batch in map(classifier.module.collate, batches):
            result |= dict(zip(batch.places, classifier.module(batch), strict=True))
    return result


def assert_same(found: Logits, expected: Logits) -> None:
    """The same targets and, up to rounding, the same logits."""
    assert found.keys() == expected.keys()
    for place, vector in expected.items():
        torch.testing.assert_close(found[place], vector, atol=ATOL, rtol=0.0)


def descend(classifier: ErcClassifier, batch: Any, steps: int) -> None:
    """Train on one batch."""
    classifier.module.train()
    trained = [parameter for parameter in classifier.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        classifier.module.loss(classifier.module(batch), batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
