"""CoMPM's own; what it shares with the others is in ``test_contract.py``."""

from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch.nn import functional
from transformers import get_linear_schedule_with_warmup

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.compm.config import CoMPMConfig, Memory
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.classifiers.segments import TokenBudgetSampler
from ercsatz.classifiers.speaker_tags import SpeakerTags
from ercsatz.config import BackboneConfig, Pooling, TrainerConfig, register
from ercsatz.data.benchmarks import fetch, load
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.resources import resource
from ercsatz.training import lightning_module as module_module
from ercsatz.training.graph import optimisation
from ercsatz.training.optimisation import Optimisation
from ercsatz.training.trainer import Run, fit
from tests.classifiers import plain

COMPM = CoMPMConfig("compm", 48, memory_layers=2, memory_dropout=0.0)
ORIGINAL = replace(COMPM, max_tokens=512, padded_memory=True)
LABELS = ("neutral", "joy", "anger", "fear")
EXACT = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture
def built(tiny):
    """A new tiny CoMPM with random weights from a seed."""

    def build(
        config: CoMPMConfig = COMPM, pooling: Pooling = Pooling.first, other_memory: bool = False
    ) -> ErcClassifier:
        torch.manual_seed(0)
        encoders = {"memory": tiny(["what my sister did"], pooling, hidden=24)} if other_memory else {}
        return checkpoint.build(config, tiny(pooling=pooling), LABELS, encoders)

    return build


@pytest.fixture
def corpus(make_dialogues) -> list[Dialogue]:
    return make_dialogues(6, LABELS, seed=1, turns=(1, 7))


@pytest.fixture(scope="module")
def meld(shared):
    """Real MELD: its labels and its training dialogues."""
    read = load(fetch.settings("meld", [resource("conf")], shared("data/meld")))
    return tuple(read.labels), read.split("train")


def gold(classifier: ErcClassifier, dialogue: Dialogue, turn: int) -> torch.Tensor:
    return torch.tensor(classifier.labels.index(dialogue.utterances[turn].emotion))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for place, vector in expected.items():
        torch.testing.assert_close(found[place], vector, **EXACT)


def gradients(module) -> dict[str, torch.Tensor]:
    """Those since the last call."""
    found = {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}
    module.zero_grad()
    return found


def assert_same_gradients(found, expected):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


def rows_of(sequences) -> list[list[int]]:
    """Packed sequences, in the order they were given."""
    starts, lengths = sequences.starts[sequences.order], sequences.lengths[sequences.order]
    return [sequences.ids[a : a + n].tolist() for a, n in zip(starts.tolist(), lengths.tolist(), strict=True)]


# A batch is the plain computation, turn by turn


@given(
    seed=st.integers(0, 10_000),
    pooling=st.sampled_from(Pooling),
    tags=st.sampled_from(SpeakerTags),
    other_memory=st.booleans(),
    max_tokens=st.sampled_from([12, 48]),
)
@settings(max_examples=8, deadline=None)
def test_a_batch_is_the_plain_computation_turn_by_turn(
    make_dialogues, tiny, cut, logits, seed, pooling, tags, other_memory, max_tokens
):
    torch.manual_seed(seed)
    encoders = {"memory": tiny(["what my sister did"], pooling, hidden=24)} if other_memory else {}
    config = replace(COMPM, speaker_tags=tags, max_tokens=max_tokens)
    classifier = checkpoint.build(config, tiny(pooling=pooling), LABELS, encoders)
    corpus = make_dialogues(4, LABELS, seed=seed, turns=(1, 8))
    found = logits(classifier, [cut(classifier, corpus)])
    with torch.no_grad():
        alone = {(n, i): plain.compm(classifier, corpus[n], i, masked=True) for n, i in plain.targets_of(corpus)}
    assert_same(found, alone)


def test_gradients_of_a_batch_are_the_sum_of_the_plain_ones(built, corpus, cut):
    classifier = built()
    module = classifier.module.eval()
    batch = module.collate(cut(classifier, corpus))
    functional.cross_entropy(module(batch), batch.labels, reduction="sum").backward()
    batched = gradients(module)
    for n, i in plain.targets_of(corpus):
        logits = plain.compm(classifier, corpus[n], i, masked=True)
        functional.cross_entropy(logits, gold(classifier, corpus[n], i)).backward()
    assert_same_gradients(batched, gradients(module))


# The released code's arithmetic


def check_originals(classifier: ErcClassifier, dialogues, places, cut) -> None:
    """Logits, loss and gradients of single targets against the plain computation's."""
    module = classifier.module.eval()
    segments = {(s.dialogue, s.targets[0]): s for s in cut(classifier, dialogues, budget=1)}
    for n, i in places:
        batch = module.collate([segments[n, i]])
        found = module(batch)
        loss = module.loss(found, batch)
        loss.backward()
        batched = gradients(module)
        alone = plain.compm(classifier, dialogues[n], i)
        expected = functional.cross_entropy(alone, gold(classifier, dialogues[n], i))
        expected.backward()
        torch.testing.assert_close(found, alone.unsqueeze(0), **EXACT)
        torch.testing.assert_close(loss, expected, **EXACT)
        assert_same_gradients(batched, gradients(module))


@pytest.mark.parametrize("pooling", Pooling)
def test_padded_memory_is_the_released_codes_arithmetic(pooling, built, corpus, cut):
    classifier = built(ORIGINAL, pooling)
    check_originals(classifier, corpus, plain.targets_of(corpus), cut)


def test_padded_memory_with_another_encoder_and_speaker_tokens(built, corpus, cut):
    config = replace(ORIGINAL, speaker_tags=SpeakerTags.tokens)
    check_originals(built(config, other_memory=True), corpus, plain.targets_of(corpus), cut)


def test_padding_moves_a_memory_unless_all_of_it_are_equally_long(built, logits, cut):
    def predict(padded: bool, *texts: str) -> torch.Tensor:
        classifier = built(replace(ORIGINAL, padded_memory=padded))
        dialogue = Dialogue("1", tuple(Utterance("Ann", text, "joy") for text in texts))
        return logits(classifier, [cut(classifier, [dialogue])])[0, len(texts) - 1]

    for texts in (("oh",), ("oh", "no"), ("tea", "tea", "no")):
        torch.testing.assert_close(predict(True, *texts), predict(False, *texts), **EXACT)
    uneven = ("oh", "the train left again you did", "no")
    assert (predict(True, *uneven) - predict(False, *uneven)).abs().max() > 1e-4


def one_of_each(classifier: ErcClassifier, dialogues) -> list[tuple[int, int]]:
    """Targets: the longest context, which must be cut; one without a memory; one whose memory has padding."""
    tokens = classifier.module.tokeniser.tokenise(dialogues, classifier.labels, None)
    ends = {(n, i): int(tokens[n].tagged.bounds[i + 1]) for n, i in plain.targets_of(dialogues)}
    longest = max(ends, key=ends.__getitem__)
    assert ends[longest] > 511
    first = next((n, i) for n, i in ends if not tokens[n].earlier_turns(i))
    padded = next((n, i) for n, i in ends if len({len(tokens[n].turns[k]) for k in tokens[n].earlier_turns(i)}) > 2)
    return [longest, first, padded]


def longest_and_some(dialogues, n: int) -> list[Dialogue]:
    """The dialogue with most text, and the first ones."""
    return [max(dialogues, key=lambda d: sum(len(turn.text) for turn in d.utterances)), *dialogues[:n]]


def test_real_meld_with_a_small_vocabulary(meld, tiny, cut):
    labels, dialogues = meld
    chosen = longest_and_some(dialogues, 6)
    torch.manual_seed(0)
    classifier = checkpoint.build(ORIGINAL, tiny(pooling=Pooling.first), labels)
    one_of_each(classifier, chosen)
    check_originals(classifier, chosen, plain.targets_of(chosen), cut)


def test_real_meld_with_a_pretrained_encoder(meld, shared, cut):
    labels, dialogues = meld
    chosen = longest_and_some(dialogues, 3)
    folder = str(shared("models/all-MiniLM-L6-v2-fp16"))
    torch.manual_seed(0)
    pretrained = open_backbone(BackboneConfig("local", folder, Pooling.first, 1e-4), [])
    classifier = checkpoint.build(ORIGINAL, pretrained, labels)
    check_originals(classifier, chosen, one_of_each(classifier, chosen), cut)


@pytest.fixture(scope="module")
def recipe():
    """``recipe=original`` as a job reads it, but for its rate, which would change next to nothing in so few steps."""
    register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        config = compose("train", ["recipe=original", "classifier=compm", "data=mini_org", "training.lr=1e-2"])
    cfg = OmegaConf.to_object(config)
    return cfg.classifier, Optimisation(**optimisation(cfg, "original"))


def test_the_original_recipe_has_the_released_codes_settings(recipe):
    classifier, settings = recipe
    assert classifier == replace(ORIGINAL, memory_dropout=0.3)
    assert (settings.epochs, settings.warmup, settings.schedule.value) == (10, 0.1, "examples")
    assert (settings.weight_decay, settings.clip, settings.batch_targets) == (0.01, 10.0, 1)


def plain_epochs(classifier: ErcClassifier, dialogues, settings: Optimisation, seed: int) -> list[float]:
    """The released code's training loop: a step an example, clipping, AdamW, a schedule of examples.

    Returns:
        The gradient's norm before each step.
    """
    module, places = classifier.module.train(), plain.targets_of(dialogues)
    optimizer = torch.optim.AdamW(module.parameters(), lr=settings.lr)
    schedule = get_linear_schedule_with_warmup(optimizer, len(places), settings.epochs * len(places))
    shuffled = TokenBudgetSampler([1] * len(places), 1, seed)
    norms = []
    for epoch in range(settings.epochs):
        shuffled.set_epoch(epoch)
        for (index,) in shuffled:
            n, i = places[index]
            logits = plain.compm(classifier, dialogues[n], i).float()
            functional.cross_entropy(logits, gold(classifier, dialogues[n], i)).backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(module.parameters(), 10)))
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return norms


def test_the_original_recipe_is_the_released_training_loop(recipe, tiny, tmp_path, monkeypatch):
    config, settings = recipe
    texts = (
        ("Ann", "oh no", "joy"),
        ("Bo", "really?", "anger"),
        ("Ann", "the train left", "fear"),
        ("Ann", "my", "joy"),
    )
    dialogues = [Dialogue("1", tuple(Utterance(*said) for said in texts))]
    rising = iter(range(settings.epochs))  # so that the weights of the last epoch are left
    original = module_module.scores
    monkeypatch.setattr(module_module, "scores", lambda *told: {**original(*told), "w_f1": float(next(rising))})

    def new() -> ErcClassifier:
        pl.seed_everything(5, verbose=False)
        classifier = checkpoint.build(replace(config, memory_dropout=0.0), tiny(pooling=Pooling.first), LABELS)
        # In 32 bits AdamW makes whole steps of what is rounding alone, such as the gradients of keys' biases.
        classifier.module.double()
        return classifier

    ours, theirs, before = new(), new(), new().module.state_dict()
    fit(ours, dialogues, dialogues, Run(settings, TrainerConfig("cpu", "32-true"), 3, tmp_path, [], "test"))
    norms = plain_epochs(theirs, dialogues, settings, seed=3)
    assert len(norms) >= 20
    assert min(norms) < 10 < max(norms)  # so some are clipped
    expected = theirs.module.state_dict()
    for name, tensor in ours.module.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-10, rtol=0, msg=name)
    keys = {name for name in before if name.endswith("key.bias")}  # which change nothing
    assert all((expected[name] - before[name]).abs().max() > 1e-3 for name in before.keys() - keys)


# Context and memory


def test_the_memory_of_a_first_turn_is_zero(built, cut, logits):
    classifier = built()
    dialogue = Dialogue(
        "1", (Utterance("Ann", "oh", "joy"), Utterance("Bo", "no", "fear"), Utterance("Ann", "my", "joy"))
    )
    found = logits(classifier, [cut(classifier, [dialogue])])
    batch = classifier.module.collate(cut(classifier, [dialogue]))
    assert batch.memory_at.tolist()[:2] == [-1, -1]
    with torch.no_grad():
        context = classifier.module.head(classifier.module.context(batch.contexts))
    torch.testing.assert_close(found[0, 0], context[0], **EXACT)
    torch.testing.assert_close(found[0, 1], context[1], **EXACT)
    assert (found[0, 2] - context[2]).abs().max() > 1e-4


def test_each_remembered_turn_is_encoded_once_a_batch(built, corpus, cut):
    classifier = built()
    batch = classifier.module.collate(cut(classifier, corpus))
    remembered = {
        (n, earlier)
        for n, i in plain.targets_of(corpus)
        for earlier in range(i)
        if corpus[n].utterances[earlier].speaker == corpus[n].utterances[i].speaker
    }
    assert len(rows_of(batch.said)) == len(remembered)
    assert len(rows_of(batch.contexts)) == len(plain.targets_of(corpus))


def test_long_dialogues_lose_their_oldest_tokens(built, cut):
    classifier = built(replace(COMPM, max_tokens=16))
    tokenizer = classifier.pretrained.tokenizer
    turns = tuple(Utterance("Ann", f"what did you {word} again and again and again", "joy") for word in ("a", "b", "c"))
    batch = classifier.module.collate(cut(classifier, [Dialogue("1", turns)]))
    text = " ".join(f"<s1> {turn.text}" for turn in turns)
    assert rows_of(batch.contexts)[2] == [tokenizer.cls_token_id, *plain.ids_of(tokenizer, text)[-15:]]
    own = plain.ids_of(tokenizer, turns[1].text)
    assert len(own) > 15
    assert rows_of(batch.said)[1] == [tokenizer.cls_token_id, *own[-15:]]


def test_the_longest_input_is_never_more_than_the_encoder_has_positions(built, cut):
    classifier = built(replace(COMPM, max_tokens=100_000))
    turns = tuple(Utterance("Ann", "the train left again " * 40, "joy") for _ in range(8))
    batch = classifier.module.collate(cut(classifier, [Dialogue("1", turns)]))
    assert max(map(len, rows_of(batch.contexts))) == 512


def test_both_encoders_start_alike_from_a_checkpoint_and_train_apart(bert_folder, corpus, cut):
    pretrained = open_backbone(BackboneConfig("local", str(bert_folder()), Pooling.first, 1e-3), [])
    classifier = checkpoint.build(replace(COMPM, max_tokens=32), pretrained, LABELS)
    module = classifier.module
    context = module.context.state_dict()
    assert all(torch.equal(tensor, context[name]) for name, tensor in module.memory.state_dict().items())
    batch = module.collate(cut(classifier, corpus))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    module.loss(module(batch), batch).backward()
    optimizer.step()
    name = "model.encoder.layer.0.output.dense.weight"
    assert not torch.equal(module.context.state_dict()[name], module.memory.state_dict()[name])


# Variants


def test_a_scratch_memory_starts_from_other_weights_than_the_checkpoints(bert_folder):
    pretrained = open_backbone(BackboneConfig("local", str(bert_folder()), Pooling.first, 1e-3), [])
    module = checkpoint.build(replace(COMPM, max_tokens=32, memory=Memory.scratch), pretrained, LABELS).module
    name = "model.encoder.layer.0.output.dense.weight"
    context, memory = module.context.state_dict()[name], module.memory.state_dict()[name]
    assert context.shape == memory.shape
    assert not torch.equal(context, memory)
    assert all(weight.requires_grad for weight in module.memory.parameters())


@pytest.mark.parametrize("other_memory", [False, True])
def test_a_frozen_memory_predicts_as_a_trained_one_with_its_weights(other_memory, built, corpus, cut, logits):
    trained = built(other_memory=other_memory)
    frozen = built(replace(COMPM, memory=Memory.frozen), other_memory=other_memory)
    frozen.module.load_state_dict(trained.module.state_dict())
    kept = cut(frozen, corpus)  # with the vectors that are computed once
    assert all(
        segment.tokens.vectors.shape == (len(segment.tokens.turns), frozen.module.memory.width) for segment in kept
    )
    assert isinstance(frozen.module.collate(kept).said, torch.Tensor)
    assert_same(logits(frozen, [kept]), logits(trained, [cut(trained, corpus)]))


def test_a_padded_memory_that_is_frozen_is_still_the_released_codes_arithmetic(built, corpus, cut, logits):
    frozen = built(replace(ORIGINAL, memory=Memory.frozen))
    with torch.no_grad():
        alone = {(n, i): plain.compm(frozen, corpus[n], i) for n, i in plain.targets_of(corpus)}
    assert_same(logits(frozen, [cut(frozen, corpus)]), alone)
    assert not any(weight.requires_grad for weight in frozen.module.memory.parameters())


def test_only_a_memory_of_another_encoder_is_projected(built):
    assert not [*built().module.projection.parameters()]
    other = built(other_memory=True).module
    assert other.projection.weight.shape == (other.context.width, other.memory.width) == (16, 24)
    assert other.tracker.input_size == other.tracker.hidden_size == 24


def test_a_speaker_token_is_one_and_as_text_several(built, cut):
    names = [f"speaker {number}" for number in range(40)]  # more than there are tokens
    dialogue = Dialogue("1", tuple(Utterance(name, "oh no", "joy") for name in names))
    found = {}
    for tags in SpeakerTags:
        classifier = built(replace(COMPM, speaker_tags=tags, max_tokens=512))
        batch = classifier.module.collate(cut(classifier, [dialogue]))
        found[tags] = [classifier.pretrained.tokenizer.convert_ids_to_tokens(row) for row in rows_of(batch.contexts)]
    assert found[SpeakerTags.tokens][1][:2] == ["<s>", "<s1>"]
    said = found[SpeakerTags.tokens][39]
    assert [token for token in said if token.startswith("<s") and token != "<s>"] == [f"<s{n}>" for n in range(1, 33)]
    assert "<s1>" not in found[SpeakerTags.text][1]
    assert "".join(found[SpeakerTags.text][1]).startswith("<s><s1>")
    assert (
        "".join(said)
        .replace("Ġ", " ")
        .endswith("<s32> oh no <s33> oh no" + "".join(f" <s{n}> oh no" for n in range(34, 41)))
    )
