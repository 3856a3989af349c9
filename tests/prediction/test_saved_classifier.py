import json
import pickle
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.encoder.packing import pack
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig
from ercsatz.data.dialogue import Dialogue, Knowledge, Utterance
from ercsatz.errors import UserError
from ercsatz.prediction.read import read_dialogues
from ercsatz.prediction.saved_classifier import CHUNK, load_classifier
from tests.classifiers.variants import VARIANTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "predict.md"

LABELS = ("joy", "neutral", "anger", "fear")  # in no sorted order
WORDS = ["tea", "no", "really", "oh", "the", "train", "left", "again", "you", "did", "what", "fine", "my", "sister"]
KINDS = (
    "compm",
    "compm-frozen",
    "compm-tokens",
    "compm-other-memory",
    "emoone",
    "emoone-future",
    "emoone-future-teacher",
    "todkat",
    "todkat-both-ways",
    "todkat-no-knowledge",
)
TALK = [[("Ann", "hello"), ("Bo", "go away"), ("Ann", "oh no really")], [("小明", "你好 😀")]]

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a saved classifier with random weights, by its kind."""
    torch.set_num_threads(1)
    made = {}

    def tiny(hidden):
        return open_backbone(BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(hidden, 1, 2, 400)), WORDS)

    def save(kind, config=None):
        if kind not in made:
            torch.manual_seed(3)
            encoders = {"memory": tiny(24)} if kind == "compm-other-memory" else {}
            classifier = checkpoint.build(config or VARIANTS[kind].config, tiny(16), LABELS, encoders)
            for parameter in classifier.module.parameters():
                parameter.data.mul_(3.0)  # so that predictions differ clearly
            made[kind] = tmp_path_factory.mktemp("saved") / kind
            checkpoint.save(classifier, made[kind])
        return made[kind]

    return save


@pytest.fixture
def load(saved):
    return lambda kind: load_classifier(saved(kind), accelerator="cpu")


def talk(dialogues, turns, speakers=3, seed=0):
    draw = random.Random(seed)
    return [
        [(f"S{draw.randrange(speakers)}", " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))) for _ in range(turns)]
        for _ in range(dialogues)
    ]


def vectors(predictions):
    return torch.tensor([list(turn.probabilities.values()) for turns in predictions for turn in turns])


def assert_same(found, expected):
    torch.testing.assert_close(vectors(found), vectors(expected), atol=1e-5, rtol=0.0)


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


# In Python


@every_kind
def test_every_turn_gets_a_label_and_the_probability_of_each(kind, load):
    classifier = load(kind)
    found = classifier.predict(TALK)
    assert classifier.labels == LABELS
    assert [len(turns) for turns in found] == [3, 1]
    for prediction in (turn for turns in found for turn in turns):
        assert tuple(prediction.probabilities) == LABELS
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.probability == max(prediction.probabilities.values())
        assert prediction.probabilities[prediction.label] == prediction.probability


@every_kind
def test_it_predicts_what_the_module_computes_for_each_dialogue_alone(kind, saved, load):
    dialogues = talk(5, 4)
    plain = checkpoint.load(saved(kind))
    module = plain.module.eval()
    expected = []
    for turns in dialogues:
        dialogue = Dialogue("1", tuple(Utterance(*turn) for turn in turns))
        tokens = module.tokeniser.tokenise([dialogue], LABELS, None, every_turn=True)
        if own := module.frozen_sequences(tokens[0]):
            with torch.no_grad():
                alone = [module.frozen()(pack([ids])) for ids in own]
            tokens = [replace(tokens[0], vectors=torch.cat(alone).numpy())]
        with torch.no_grad():
            batch = module.collate(module.segments(tokens, 10**9))
            assert [turn for _, turn in batch.places] == [0, 1, 2, 3]
            expected.append(module(batch).softmax(dim=1))
    torch.testing.assert_close(vectors(load(kind).predict(dialogues)), torch.cat(expected), atol=1e-5, rtol=0.0)


def test_many_dialogues_are_predicted_as_each_is_alone(load):
    classifier, dialogues = load("compm"), talk(CHUNK, 3)
    alone = [classifier.predict([dialogue])[0] for dialogue in dialogues]
    assert_same(classifier.predict(dialogues), alone)
    assert classifier.predict([]) == []


def test_predictions_come_before_all_is_read(load):
    asked = []

    def endless():
        for number in count():
            asked.append(number)
            yield Dialogue(str(number), (Utterance("Ann", "hello"), Utterance("Bo", "no")))

    assert len(list(islice(load("emoone").stream(endless()), 3))) == 3
    assert len(asked) == CHUNK / 2


def test_objects_are_taken_too_and_their_labels_are_not_looked_at(load):
    turns = [
        Utterance("Ann", "hello", "bored"),
        Utterance("Bo", "go away", "joy", "positive"),
        Utterance("Ann", "oh no really"),
    ]
    dialogues = [Dialogue("x", tuple(turns)), TALK[1]]
    assert load("compm").predict(dialogues) == load("compm").predict(TALK)


@every_kind
def test_it_says_whether_later_turns_matter(kind, load):
    classifier = load(kind)
    dialogue = talk(1, 4)[0]
    before = classifier.predict([dialogue[:3]])
    after = classifier.predict([dialogue])
    difference = (vectors(before) - vectors([after[0][:3]])).abs().max()
    assert (difference > 1e-4) == classifier.reads_later_turns
    assert classifier.reads_later_turns or difference < 1e-5


@every_kind
def test_it_says_whether_knowledge_matters(kind, load):
    classifier = load(kind)
    turns = tuple(Utterance(*turn) for turn in TALK[0])
    knowing = (replace(turns[0], knowledge=Knowledge(("my sister left",), ("you did what",))), *turns[1:])
    found = classifier.predict([Dialogue("1", knowing)])
    changed = (vectors(found) - vectors(classifier.predict([Dialogue("1", turns)]))).abs().max() > 1e-5
    assert changed == classifier.reads_knowledge == (kind in {"todkat", "todkat-both-ways"})


@pytest.mark.parametrize(
    ("dialogues", "told"),
    [
        ([[]], "dialogue '1': there are no turns"),
        ([("Ann", "hello"), ("Bo", "no")], "dialogue 1: a turn must be a pair of speaker and text"),
        ([("Bo", "ok")], "dialogue 1: a turn must be a pair of speaker and text"),
        (["hello"], "dialogue 1: a turn must be a pair of speaker and text"),
        ([["ab", "cd"]], "dialogue 1: a turn must be a pair of speaker and text"),
        ([TALK[0], [("Ann", "hello", "joy")]], "dialogue 2: a turn must be a pair of speaker and text"),
        ([TALK[0], [("Ann", None)]], "dialogue 2: a turn must be a pair of speaker and text"),
        ([[("Ann", "hello"), ("Bo", " ")]], "dialogue '1', turn 2: the text is empty"),
        ([[("", "hello")]], "dialogue '1', turn 1: the speaker is empty"),
        ([[("Ann", "oh \ud83d")]], "dialogue '1', turn 1: the text has half a surrogate pair"),
        ([Dialogue("x", (Utterance("Ann", "\n"),))], "dialogue 'x', turn 1: the text is empty"),
    ],
)
def test_what_is_no_dialogue_is_refused_by_its_place(dialogues, told, load):
    with pytest.raises(UserError) as error:
        load("compm").predict(dialogues)
    assert str(error.value).startswith(told)


@every_kind
def test_hostile_texts_and_names_are_texts_and_names(kind, load):
    classifier = load(kind)
    texts = [
        "</s>",
        "<script>alert(1)</script>",
        "word " * 2000,
        "👩‍👩‍👧‍👦 \u202eevil",
        "שלום مرحبا",
        "<s1> <pad>",
        "\x00\x1b[31m",
        "\u200b",
    ]
    names = ["</s>", "<s1>", "<script>", "😀" * 50, "أحمد", "\x00", "a\tb", "<mask>"]
    found = classifier.predict([list(zip(names, texts, strict=True))])
    assert vectors(found).isfinite().all()
    plain = classifier.predict([[(f"S{i}", text) for i, text in enumerate(texts)]])
    assert_same(found, plain)


@every_kind
def test_forty_speakers_and_three_hundred_turns(kind, load):
    classifier = load(kind)
    (dialogue,) = talk(1, 300, speakers=40)
    assert len({speaker for speaker, _ in dialogue}) == 40
    (found,) = classifier.predict([dialogue])
    assert len(found) == 300
    assert vectors([found]).isfinite().all()


# Saved files


@every_kind
def test_nothing_is_unpickled_and_nothing_is_written(kind, saved, monkeypatch, tmp_path):
    folder = saved(kind)
    before = files(folder)

    def refuse(*_, **__):
        raise AssertionError("a pickle was loaded")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert len(load_classifier(folder, "cpu").predict(TALK)) == 2
    assert files(folder) == before
    assert not list(tmp_path.iterdir())


class _Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["model.bin", "pytorch_model.bin", "model.pt", "model.safetensors"])
def test_a_pickle_in_the_place_of_the_weights_is_not_loaded(name, saved, tmp_path):
    folder, sign = Path(shutil.copytree(saved("compm"), tmp_path / "copy")), tmp_path / "went off"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(_Bomb(sign)))
    told = "cannot be loaded" if name == "model.safetensors" else r"it has no model\.safetensors\..*never loaded"
    with pytest.raises(UserError, match=told):
        load_classifier(folder)
    assert not sign.exists()
    pickle.loads((folder / name).read_bytes())
    assert sign.exists(), "the bomb is none"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("classifier.json", None, "is not a saved classifier: it has no classifier.json"),
        ("config.json", None, "is not a saved classifier: it has no config.json"),
        ("classifier.json", '{"format": 2', "not JSON"),
        ("classifier.json", '{"format": 2}', "cannot be loaded"),
        ("classifier.json", '{"format": 1}', "was saved in format 1"),
        ("model.safetensors", "", "cannot be loaded"),
        ("tokenizer.json", "{", "cannot be opened"),
    ],
)
def test_a_damaged_folder_is_named(name, text, told, saved, tmp_path):
    folder = Path(shutil.copytree(saved("compm"), tmp_path / "copy"))
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(UserError) as error:
        load_classifier(folder)
    assert str(folder) in str(error.value)
    assert told in str(error.value)


def test_weights_of_another_classifier_are_refused(saved, tmp_path):
    folder = Path(shutil.copytree(saved("compm"), tmp_path / "copy"))
    shutil.copy(saved("emoone") / "model.safetensors", folder)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_classifier(folder)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(value, saved, tmp_path):
    folder = Path(shutil.copytree(saved("compm"), tmp_path / "copy"))
    weights = load_file(folder / "model.safetensors")
    weights["head.bias"][0] = value
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"copy/model.safetensors: the weight head.bias is not finite"):
        load_classifier(folder)


def test_a_topic_layer_is_no_classifier(saved):
    config = VARIANTS["todkat"].config.prerequisite().config
    with pytest.raises(UserError, match="holds a topic layer, which predicts no emotions"):
        load_classifier(saved("topic", config))


@pytest.mark.parametrize("key", ["accelerator", "precision"])
def test_an_unknown_accelerator_or_precision_is_refused(key, saved):
    with pytest.raises(UserError, match=rf"trainer\.{key}=nope: must be one of auto"):
        load_classifier(saved("compm"), **{key: "nope"})


def test_a_copied_folder_is_all_that_a_fresh_process_needs(saved, load, tmp_path):
    shutil.copytree(saved("compm-other-memory"), tmp_path / "moved" / "classifier")
    (tmp_path / "empty").mkdir()
    code = f"""
import json, sys
from ercsatz import load_classifier
classifier = load_classifier({str(tmp_path / "moved" / "classifier")!r}, "cpu")
found = classifier.predict(json.loads(sys.stdin.read()))
print(json.dumps([[turn.probabilities for turn in turns] for turns in found]))
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "empty",
        env=environment,
        input=json.dumps(TALK),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    expected = [[turn.probabilities for turn in turns] for turns in load("compm-other-memory").predict(TALK)]
    assert json.loads(done.stdout) == [[pytest.approx(turn, abs=1e-6) for turn in turns] for turns in expected]
    assert not list((tmp_path / "empty").iterdir())


def test_the_package_is_imported_at_once():
    code = "import sys; before = set(sys.modules); import ercsatz; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert names == {"ercsatz"}


def test_the_package_has_what_it_says_and_no_more():
    import ercsatz

    assert ercsatz.load_classifier is load_classifier
    assert all(hasattr(ercsatz, name) for name in ercsatz.__all__)
    assert not hasattr(ercsatz, "nope")


def test_the_example_on_the_page_runs(saved, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "cache/stages/KEY" in code
    exec(code.replace("cache/stages/KEY", str(saved("compm"))), {})
    label, probability, *_ = capsys.readouterr().out.split()
    assert label in LABELS
    assert 1 / 4 <= float(probability) <= 1


def test_the_forms_on_the_page_are_read_and_are_alike(tmp_path):
    blocks = re.findall(r"```(text|csv|json)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    suffixes = {"text": ".txt", "csv": ".csv", "json": ".jsonl"}
    read = []
    for kind, text in blocks:
        (tmp_path / f"talk{suffixes[kind]}").write_text(text, encoding="utf-8")
        read.append(read_dialogues(tmp_path / f"talk{suffixes[kind]}"))
    assert len(read) == 3
    assert read[0] == read[1] == read[2]
    assert [len(dialogue.utterances) for dialogue in read[0]] == [2, 1]
