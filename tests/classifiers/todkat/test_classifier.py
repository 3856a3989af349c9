import math
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AlbertConfig

from ercsatz.classifiers.feature_cache import with_vectors
from ercsatz.classifiers.todkat.classifier import TODKAT, TODKATBatch
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.classifiers.todkat.topic import TopicEncoder, TopicModel
from ercsatz.config import Pooling
from ercsatz.data.dialogue import Dialogue, Knowledge, Utterance
from ercsatz.errors import UserError

CONFIG = TODKATConfig("todkat", 48, True, 6, 1.0, KnowledgeSources.both, None, 2, 4, 24, 0.0, True)
LABELS = ("neutral", "joy", "anger", "fear")
PHRASES = ["PersonX wants tea.", "PersonX feels fine.", "PersonY feels left.", "PersonX wants my train again."]
GIVEN = 5
CPU, META = torch.device("cpu"), torch.device("meta")

every_source = pytest.mark.parametrize("sources", KnowledgeSources)


def told(draw: random.Random, given: bool = False) -> Knowledge:
    retrieved, generated = (tuple(draw.choices(PHRASES, k=draw.randint(0, 3))) for _ in range(2))
    if not given:
        return Knowledge(retrieved, generated)
    vectors = np.random.default_rng(draw.randrange(10**6)).normal(size=(3, GIVEN)).astype(np.float32)
    return Knowledge(retrieved, vectors=vectors.tobytes() if draw.random() < 0.7 else b"")


def knowing(dialogues: list[Dialogue], given: bool = False, seed: int = 0) -> list[Dialogue]:
    """The same with knowledge about most turns, from one source, both or none."""
    draw = random.Random(seed)
    return [
        replace(d, utterances=tuple(replace(t, knowledge=told(draw, given and n % 3 > 0)) for t in d.utterances))
        for n, d in enumerate(dialogues)
    ]


@pytest.fixture
def corpus(make_dialogues) -> list[Dialogue]:
    return knowing(make_dialogues(6, LABELS, seed=1, turns=(1, 7)))


@pytest.fixture
def build(tiny):
    """A new classifier with an encoder of three layers; ``loud``: with weights so large that everything tells."""

    def make(pooling=Pooling.first, seed=0, loud=True, hidden=16, **options) -> TODKAT:
        pretrained = tiny(pooling=pooling, hidden=hidden)
        pretrained.config.num_hidden_layers = 3
        torch.manual_seed(seed)
        module = TODKAT(replace(CONFIG, **options), pretrained, len(LABELS))
        for weight in (p for p in module.parameters() if loud and p.dim() == 2):
            nn.init.normal_(weight, std=0.4)
        return module.eval()

    return make


def cut(module: TODKAT, dialogues: list[Dialogue]):
    tokens = module.tokeniser.tokenise(dialogues, LABELS, None)
    return module.segments(with_vectors(module, tokens, CPU, None), 10**9)


def collate(module: TODKAT, dialogues: list[Dialogue]) -> TODKATBatch:
    return module.collate(cut(module, dialogues))


def predict(module: TODKAT, *batches):
    """Logits by dialogue and turn, of batches of segments."""
    found = {}
    with torch.no_grad():
        for batch in map(module.collate, batches):
            found |= dict(zip(batch.places, module(batch), strict=True))
    return found


def of(module: TODKAT, dialogues: list[Dialogue]):
    return predict(module, cut(module, dialogues))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for place, vector in expected.items():
        torch.testing.assert_close(found[place], vector, atol=1e-5, rtol=0)


def distance(one, other) -> float:
    return max((one[place] - other[place]).abs().max().item() for place in one)


def fit(module: TODKAT, batch, steps: int, lr: float = 1e-2):
    module.train()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        module.loss(module(batch), batch).backward()
        optimizer.step()
    module.eval()


def accuracy(module: TODKAT, batch) -> float:
    with torch.no_grad():
        return (module(batch).argmax(1) == batch.labels).float().mean().item()


# A second implementation: one dialogue at a time, no padding, loops


def heed(asked, keys, values):
    """Attention of one query over lists of vectors."""
    scores = [math.exp(asked @ key / math.sqrt(len(key))) for key in keys]
    return sum(score * value for score, value in zip(scores, values, strict=True)) / sum(scores)


def plain_attention(mha: nn.MultiheadAttention, asking, seen, causal: bool):
    parts = zip((asking, seen, seen), mha.in_proj_weight.chunk(3), mha.in_proj_bias.chunk(3), strict=True)
    queries, keys, values = ([vector @ weight.T + bias for vector in x] for x, weight, bias in parts)
    result = []
    for i, query in enumerate(queries):
        last = i + 1 if causal else len(keys)
        split = [[vector.chunk(mha.num_heads) for vector in part[:last]] for part in (keys, values)]
        heads = query.chunk(mha.num_heads)
        read = [heed(heads[h], *([v[h] for v in part] for part in split)) for h in range(mha.num_heads)]
        result.append(mha.out_proj(torch.cat(read)))
    return result


def plain_transformer(module: TODKAT, fused):
    def feed(block, norm, states):
        return [s + block.linear2(nn.functional.gelu(block.linear1(norm(s)))) for s in states]

    def attend(mha, norm, states, seen=None):
        asking = [norm(s) for s in states]
        read = plain_attention(mha, asking, asking if seen is None else seen, module.causal)
        return [s + r for s, r in zip(states, read, strict=True)]

    memory, states = fused, fused
    for block in module.context.layers:
        memory = feed(block, block.norm2, attend(block.self_attn, block.norm1, memory))
    memory = [module.context.norm(m) for m in memory]
    for block in module.decoder.layers:
        states = attend(block.self_attn, block.norm1, states)
        states = attend(block.multihead_attn, block.norm2, states, memory)
        states = feed(block, block.norm3, states)
    return [module.head(module.decoder.norm(s)) for s in states]


def plain_encode(encoder, ids):
    """Vector and topic of one sequence, by transformers' own layers."""
    inner = encoder.encoder if isinstance(encoder, TopicEncoder) else encoder
    states = inner.model.embeddings(input_ids=torch.tensor([ids]))
    topic = None
    for number, block in enumerate(inner.model.encoder.layer):
        if number == 1 and inner is not encoder:  # of three layers
            scores = [encoder.score(torch.tanh(encoder.hidden(state))).exp() for state in states[0]]
            pooled = sum(w * state for w, state in zip(scores, states[0], strict=True)) / sum(scores)
            topic = encoder.posterior(pooled)[:6]
            states = torch.cat([states, encoder.token(topic)[None, None]], 1)
        out = block(states)
        states = out[0] if isinstance(out, tuple) else out
    tokens = states[0, : len(ids)]
    return tokens[0] if inner.pooling == Pooling.first else tokens.mean(0), topic


def plain_knowledge(module: TODKAT, ids_of, vector, known: Knowledge | None):
    reader, read = module.knowledge, {}
    for source, texts in (("retrieved", known.retrieved), ("generated", known.generated)) if known else ():
        if source in reader_sources(module):
            read[source] = [plain_encode(module.reader, ids_of(text))[0] for text in texts]
    if known and known.vectors and "generated" in reader_sources(module):
        rows = np.frombuffer(known.vectors, np.float32).reshape(3, -1)
        read["generated"] = [reader.given(torch.tensor(row)) for row in rows]
    found = {
        source: heed(reader.query(vector), [reader.key(v) for v in items], [reader.value(v) for v in items])
        for source, items in read.items()
        if items
    }
    if len(found) == 2:
        share = torch.sigmoid(reader.gate(torch.cat([vector, found["retrieved"], found["generated"]])))
        return share * found["retrieved"] + (1 - share) * found["generated"]
    return next(iter(found.values()), torch.zeros_like(vector))


def reader_sources(module: TODKAT) -> set[str]:
    return {("retrieved", "generated")[source] for source in module._sources}


def plain(module: TODKAT, dialogue: Dialogue):
    tokenizer = module.tokeniser.tokenizer

    def ids_of(text: str) -> list[int]:
        return [tokenizer.cls_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]

    fused = []
    for place, turn in enumerate(dialogue.utterances):
        vector, topic = plain_encode(module.encoder, ids_of(turn.text))
        parts = [vector] if topic is None else [vector, topic]
        if module.knowledge is not None:
            parts.append(plain_knowledge(module, ids_of, vector, turn.knowledge))
        rates = [10_000 ** (-2 * i / len(vector)) for i in range(len(vector) // 2)]
        wave = [math.sin(place * rate) for rate in rates] + [math.cos(place * rate) for rate in rates]
        fused.append(module.fuse(torch.cat(parts)) + torch.tensor(wave))
    return plain_transformer(module, fused)


@pytest.mark.parametrize("given", [False, True], ids=["statements", "given"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("topic", [True, False])
@every_source
def test_a_plain_implementation_gives_the_same_logits(build, make_dialogues, sources, topic, causal, given):
    pooling = Pooling.first if causal else Pooling.mean
    width = GIVEN if given else None
    module = build(pooling, knowledge=sources, topic=topic, causal=causal, knowledge_width=width)
    dialogues = knowing(make_dialogues(4, LABELS, seed=2, turns=(1, 6)), given)
    found = of(module, dialogues)
    with torch.no_grad():
        expected = [plain(module, dialogue) for dialogue in dialogues]
    assert_same(found, {(d, t): expected[d][t] for d, t in found})


# Who sees what


def test_it_predicts_each_labelled_turn_and_no_other(build, corpus):
    module = build()
    batch = collate(module, corpus)
    places = [(n, i) for n, d in enumerate(corpus) for i, turn in enumerate(d.utterances) if turn.emotion is not None]
    assert list(batch.places) == places
    assert [LABELS[i] for i in batch.labels.tolist()] == [corpus[n].utterances[i].emotion for n, i in places]
    assert module(batch).shape == (len(places), len(LABELS))
    assert len(batch.utterances.tokens.lengths) == sum(len(d.utterances) for d in corpus)


@every_source
@pytest.mark.parametrize("topic", [True, False])
def test_padding_and_batch_composition_do_not_change_a_prediction(build, make_dialogues, sources, topic):
    module = build(Pooling.mean, knowledge=sources, topic=topic, knowledge_width=GIVEN)
    segments = cut(module, knowing(make_dialogues(7, LABELS, seed=1, turns=(1, 8)), given=True))
    alone = predict(module, *([segment] for segment in segments))
    assert_same(predict(module, segments), alone)
    assert_same(predict(module, segments[::-1][:5], segments[:3]), alone)
    assert_same(predict(module, [*segments, *segments]), alone)


@pytest.mark.parametrize("causal", [True, False])
def test_a_turn_sees_its_own_dialogue_and_with_causal_no_later_turn(build, causal):
    """Of which the released code does the reverse: its turns see those of the other dialogue of the batch alone."""
    module = build(causal=causal)
    texts = ("oh no", "what did you", "really", "my sister left", "fine")
    # the second turn is context only
    turns = tuple(Utterance("Ann", text, None if i == 1 else "joy") for i, text in enumerate(texts))
    dialogues = [Dialogue("1", turns), Dialogue("2", turns[::-1])]
    before = of(module, dialogues)
    for changed in range(len(turns)):
        for change in ({"text": "the train"}, {"knowledge": Knowledge(("PersonX feels fine.",))}):
            other = tuple(replace(turn, **change) if i == changed else turn for i, turn in enumerate(turns))
            after = of(module, [Dialogue("1", other), dialogues[1]])
            for (dialogue, turn), vector in before.items():
                difference = (vector - after[dialogue, turn]).abs().max()
                seen = dialogue == 0 and (turn >= changed or not causal)
                assert difference > 1e-4 if seen else difference < 1e-5


def test_turns_have_an_order(build):
    module = build(causal=False)
    turns = tuple(Utterance("Ann", text, "joy") for text in ("oh no", "really", "fine"))
    one, other = (of(module, [Dialogue("1", t)]) for t in (turns, (turns[1], turns[0], turns[2])))
    assert (one[0, 2] - other[0, 2]).abs().max() > 1e-4


def test_a_long_turn_or_statement_keeps_its_beginning(build):
    short, long, other = "tea tea tea", "tea tea tea no", "tea tea no"
    text = build().tokeniser.tokenizer(short, add_special_tokens=False)["input_ids"]
    module = build(max_tokens=1 + len(text))

    def said(text: str, statement: str):
        return of(module, [Dialogue("1", (Utterance("Ann", text, "joy", knowledge=Knowledge((statement,))),))])

    assert_same(said(long, short), said(short, short))
    assert_same(said(short, long), said(short, short))
    assert distance(said(other, short), said(short, short)) > 1e-4
    assert distance(said(short, other), said(short, short)) > 1e-4


# Knowledge


def about(*known: Knowledge | None) -> list[Dialogue]:
    turns = tuple(Utterance("Ann", "oh no", "joy", knowledge=knowledge) for knowledge in known)
    return [Dialogue(str(i), (turn,)) for i, turn in enumerate(turns)]


A, B = ("PersonX wants tea.",), ("PersonY feels left.", "PersonX feels fine.")
BOTH, RETRIEVED, GENERATED = Knowledge(A, B), Knowledge(A), Knowledge((), B)


def test_a_source_that_is_not_read_does_not_matter(build):
    for sources, same in (("retrieved", RETRIEVED), ("generated", GENERATED), ("none", None)):
        module = build(knowledge=KnowledgeSources(sources))
        assert_same(of(module, about(BOTH)), of(module, about(same)))
        if same:
            assert distance(of(module, about(BOTH)), of(module, about(None))) > 1e-4
    module = build()
    assert distance(of(module, about(BOTH)), of(module, about(RETRIEVED))) > 1e-4
    assert distance(of(module, about(BOTH)), of(module, about(GENERATED))) > 1e-4


def test_the_gate_is_closed_where_a_source_is_absent(build):
    module = build()
    known = about(BOTH, RETRIEVED, GENERATED, None, Knowledge())
    before = of(module, known)
    nn.init.constant_(module.knowledge.gate.bias, 30.0)
    retrieved = of(module, known)
    nn.init.constant_(module.knowledge.gate.bias, -30.0)
    generated = of(module, known)
    for number in range(1, 5):
        torch.testing.assert_close(retrieved[number, 0], before[number, 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(generated[number, 0], before[number, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(retrieved[0, 0], retrieved[1, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(generated[0, 0], generated[2, 0], atol=1e-5, rtol=0)
    assert (before[0, 0] - retrieved[0, 0]).abs().max() > 1e-4
    assert (before[0, 0] - generated[0, 0]).abs().max() > 1e-4


def test_without_an_item_nothing_of_the_knowledge_matters(build):
    module = build()
    before = of(module, about(None, Knowledge()))
    for parameter in (*module.knowledge.parameters(), *module.reader.parameters()):
        nn.init.constant_(parameter, 7.0)
    assert_same(of(module, about(None, Knowledge())), before)
    torch.testing.assert_close(before[0, 0], before[1, 0], atol=1e-5, rtol=0)


def test_statements_have_no_order(build):
    module = build()
    assert_same(of(module, about(Knowledge(A, B[::-1]))), of(module, about(Knowledge(A, B))))


def test_the_frozen_encoder_reads_the_statements_of_the_sources_in_order(build, corpus):
    turns = [turn.knowledge for turn in corpus[1].utterances]
    expected = {
        "both": [text for known in turns for text in (*known.retrieved, *known.generated)],
        "retrieved": [text for known in turns for text in known.retrieved],
        "generated": [text for known in turns for text in known.generated],
        "none": [],
    }
    assert len(expected["both"]) > len(expected["retrieved"]) > 0
    for sources, texts in expected.items():
        module = build(knowledge=KnowledgeSources(sources))
        tokens = module.tokeniser.tokenise(corpus, LABELS, None)[1]
        tokenizer = module.tokeniser.tokenizer
        sequences = module.frozen_sequences(tokens)
        assert [tokenizer.decode(sequence) for sequence in sequences] == [f"<s>{text}" for text in texts]
        assert {sequence.dtype for sequence in sequences} <= {np.dtype(np.int32)}
        assert (module.frozen() is None) == (sources == "none")


def test_without_knowledge_nothing_is_read(build, make_dialogues):
    module = build()
    dialogues = make_dialogues(3, LABELS)
    tokens = module.tokeniser.tokenise(dialogues, LABELS, None)
    assert [module.frozen_sequences(dialogue) for dialogue in tokens] == [[], [], []]
    # vectors were not even asked for
    batch = module.collate(module.segments(tokens, 10**9))
    assert (batch.retrieved, batch.generated, batch.given) == (None, None, None)
    assert_same(dict(zip(batch.places, module(batch), strict=True)), of(module, dialogues))


def test_the_frozen_encoder_stays_as_it_was_pretrained(build, corpus):
    module = build(loud=False)
    before = {name: tensor.clone() for name, tensor in module.frozen().state_dict().items()}
    batch = collate(module, corpus)
    fit(module, batch, 2)
    module.train()
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.frozen().state_dict().items())
    assert not any(parameter.requires_grad for parameter in module.frozen().parameters())
    assert module.encoder.training
    assert not any(part.training for part in module.frozen().modules())
    assert {f"reader.{name}" for name in before} <= module.state_dict().keys()


def vectors(*rows: float, width: int = GIVEN) -> Knowledge:
    return Knowledge(vectors=np.repeat(np.float32(rows)[:, None], width, 1).tobytes())


def test_ready_made_vectors_stand_in_the_place_of_generated_statements(build):
    module = build(knowledge_width=GIVEN)
    none, zeros = of(module, about(None)), of(module, about(vectors(0, 0, 0)))
    assert_same(zeros, none)
    assert distance(of(module, about(vectors(1, 0, 0))), none) > 1e-4
    # a row of zeros is no item, and so takes no attention from the others
    assert_same(of(module, about(vectors(1, 0, 0))), of(module, about(vectors(0, 1, 1))))
    assert distance(of(module, about(vectors(1, 2, 0))), of(module, about(vectors(1, 0, 0)))) > 1e-4
    retrieved = build(knowledge_width=GIVEN, knowledge=KnowledgeSources.retrieved)
    assert_same(of(retrieved, about(vectors(1, 2, 3))), of(retrieved, about(None)))


@pytest.mark.parametrize("told", [None, 4])
def test_vectors_of_another_width_are_refused(build, told):
    said = "null" if told is None else told
    with pytest.raises(UserError, match=rf"^classifier\.knowledge_width={said}: .*Set classifier\.knowledge_width=5\."):
        cut(build(knowledge_width=told), about(None, vectors(1, 2, 3)))
    for sources in (KnowledgeSources.none, KnowledgeSources.retrieved):
        cut(build(knowledge_width=told, knowledge=sources), about(vectors(1, 2, 3)))


# Topic


def test_it_takes_over_a_fitted_topic_layer(build, tiny, corpus):
    pretrained = tiny(pooling=Pooling.first)
    pretrained.config.num_hidden_layers = 3
    torch.manual_seed(9)
    model, module = TopicModel(CONFIG, pretrained, len(LABELS)).eval(), build(loud=False)
    batch = model.collate(model.segments(model.tokeniser.tokenise(corpus, LABELS, None), 10**9))
    before = of(module, corpus)
    module.adopt(model)
    with torch.no_grad():
        ours, theirs = module.encoder(collate(module, corpus).utterances), model.encoder(batch.utterances)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert distance(of(module, corpus), before) > 1e-4
    nn.init.zeros_(model.encoder.token.weight)
    assert module.encoder.token.weight.abs().sum() > 0  # taken over, not shared


def test_the_topic_is_read_as_token_and_as_vector(build, make_dialogues):
    dialogues = make_dialogues(4, LABELS)
    module = build(knowledge=KnowledgeSources.none)
    before = of(module, dialogues)
    width = module.encoder.width
    assert module.fuse[0].in_features == width + 6
    nn.init.zeros_(module.encoder.token.weight)
    without_token = of(module, dialogues)
    assert distance(without_token, before) > 1e-4
    with torch.no_grad():
        module.fuse[0].weight[:, width:] = 0.0
    assert distance(of(module, dialogues), without_token) > 1e-4


def test_the_topic_is_the_mean_in_training_too(build, corpus):
    module = build()
    batch = collate(module, corpus)
    module.train()
    assert torch.equal(module(batch), module(batch))


# Options


def test_heads_must_divide_the_width(build):
    with pytest.raises(UserError, match=r"^classifier\.heads=3 does not divide 16"):
        build(heads=3)


def test_an_encoder_that_can_have_no_topic_layer_can_go_without(tiny, corpus):
    tokenizer = tiny().tokenizer
    shape = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2}
    config = AlbertConfig(vocab_size=len(tokenizer), embedding_size=8, pad_token_id=1, **shape)
    pretrained = replace(tiny(), config=config)
    with pytest.raises(UserError, match=r"albert.*classifier\.topic=false"):
        TODKAT(CONFIG, pretrained, len(LABELS))
    module = TODKAT(replace(CONFIG, topic=False), pretrained, len(LABELS)).eval()
    segments = cut(module, corpus)
    assert_same(predict(module, segments), predict(module, *([segment] for segment in segments)))


# Training


@pytest.mark.parametrize("topic", [True, False])
def test_it_overfits_eight_dialogues(build, make_dialogues, topic):
    module = build(Pooling.mean, loud=False, topic=topic)
    batch = collate(module, knowing(make_dialogues(8, LABELS, seed=3)))
    fit(module, batch, 100)
    assert accuracy(module, batch) == 1.0


def riddles(n: int, seed: int) -> list[Dialogue]:
    """Turns whose texts are alike; of one statement each, one word tells the label."""
    draw = random.Random(seed)
    words = dict(zip(LABELS, ("tea", "train", "sister", "fine"), strict=True))
    result = []
    for number in range(n):
        turns = []
        for _ in range(draw.randint(2, 5)):
            label = draw.choice(LABELS)
            statement = (f"PersonX {'feels' if draw.random() < 0.5 else 'wants'} {words[label]} again.",)
            known = Knowledge(statement) if draw.random() < 0.5 else Knowledge((), statement)
            turns.append(Utterance("Ann", draw.choice(["oh no", "really"]), label, knowledge=known))
        result.append(Dialogue(str(number), tuple(turns)))
    return result


def test_what_only_the_statements_tell_is_learned_with_knowledge_alone(build):
    solved = {}
    for sources in (KnowledgeSources.both, KnowledgeSources.none):
        module = build(Pooling.mean, loud=False, hidden=64, layers=1, knowledge=sources, topic=False)
        fit(module, collate(module, riddles(40, seed=1)), 90, lr=1e-3)
        solved[sources] = accuracy(module, collate(module, riddles(40, seed=2)))
    assert solved[KnowledgeSources.both] > 0.9
    assert solved[KnowledgeSources.none] < 0.5


def test_a_seed_decides_all(build, corpus):
    results = []
    for seed in (1, 1, 2):
        module = build(seed=seed, loud=False, dropout=0.1)
        fit(module, collate(module, corpus), 2)
        results.append(of(module, corpus))
    assert all(torch.equal(results[0][place], vector) for place, vector in results[1].items())
    assert distance(results[0], results[2]) > 1e-4


def test_everything_that_is_trained_gets_a_gradient(build, make_dialogues):
    dialogues = [*knowing(make_dialogues(4, LABELS), given=True), *about(BOTH)]
    module = build(knowledge_width=GIVEN).train()
    batch = collate(module, dialogues)
    assert None not in (batch.retrieved, batch.generated, batch.given)
    module.loss(module(batch), batch).backward()
    # a bias of keys cancels in a softmax
    still = {n for n, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}
    assert {name for name in still if "key" not in name} == set()


def test_saved_weights_give_the_same_logits(build, corpus):
    one, two = build(seed=1), build(seed=2)
    assert distance(of(one, corpus), of(two, corpus)) > 1e-4
    two.load_state_dict(one.state_dict())
    assert_same(of(two, corpus), of(one, corpus))
    storages = [tensor.data_ptr() for tensor in one.state_dict().values()]
    assert len(set(storages)) == len(storages)


# Where it runs


@every_source
@pytest.mark.parametrize("topic", [True, False])
@pytest.mark.parametrize("pooling", Pooling)
def test_it_runs_in_bfloat16_and_evaluates_as_it_trains(build, corpus, sources, topic, pooling):
    module = build(pooling, loud=False, knowledge=sources, topic=topic)
    batch = collate(module, corpus)
    exact = module.train()(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = module(batch)
    module.loss(rounded, batch).backward()
    assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)
    torch.testing.assert_close(rounded.float(), exact, atol=0.1, rtol=0)
    module.eval()
    with torch.inference_mode():  # torch runs other kernels now
        torch.testing.assert_close(module(batch), exact, atol=1e-5, rtol=0)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(module(batch).float(), exact, atol=0.1, rtol=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_all_is_on_one_device_and_no_tensor_is_asked_for_its_value(build, make_dialogues, training, causal):
    """Which on a GPU would wait for it. Tensors on the meta device have none."""
    module = build(causal=causal, knowledge_width=GIVEN, dropout=0.1)
    batch = collate(module, knowing(make_dialogues(4, LABELS), given=True)).to(META)
    with torch.set_grad_enabled(training):
        logits = module.to(META).train(training)(batch)
    assert logits.device == META
    assert logits.shape == (len(batch.labels), len(LABELS))
    with pytest.raises(RuntimeError, match="item"):
        logits.sum().item()


def test_a_batch_is_made_alike_in_another_process(build, corpus):
    module = build()
    collating, segments = pickle.loads(pickle.dumps((module.collate, cut(module, corpus))))
    batch = pickle.loads(pickle.dumps(collating(segments)))
    assert_same(dict(zip(batch.places, module(batch), strict=True)), of(module, corpus))
