"""Models of somebody else: nothing that came with them runs, and none takes more memory than its weights say."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.encoder.pretrained import open_backbone, train_tokenizer
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig
from ercsatz.errors import UserError
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.tgi import _model_template
from ercsatz.generators.transformers_model import load
from tests.classifiers.variants import VARIANTS

SMALL = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
KINDS = {"backbone": (BertConfig, BertModel), "generator": (LlamaConfig, LlamaForCausalLM)}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(kind: str, tmp_path: Path) -> Path:
    """The folder of a small model with random weights."""
    folder = tmp_path / "model"
    config, network = KINDS[kind]
    network(config(**SMALL)).save_pretrained(folder)
    train_tokenizer(["Tea, no. Really? Oh!"], 300).save_pretrained(folder)
    return folder


def opened(kind: str, folder: Path) -> None:
    if kind == "backbone":
        open_backbone(BackboneConfig("local", str(folder), Pooling.mean, 1e-3), []).encoder()
    else:
        load(str(folder), torch.device("cpu"), torch.float32, ChatTemplate.raw)


def changed(folder: Path, **values: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture
def harmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is there when code has run: that of a folder, which somebody has said yes to, or a kernel of a hub."""
    sign = tmp_path / "harmed"
    kernels = ModuleType("kernels")
    kernels.get_kernel = lambda *_, **__: sign.touch()
    monkeypatch.setitem(sys.modules, "kernels", kernels)
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    return sign


@pytest.mark.parametrize(
    "values",
    [
        {"_attn_implementation": "kernels-community/flash-attn"},
        {"attn_implementation": "somebody/kernel@main:name"},
        {"_attn_implementation_internal": "somebody/kernel"},
        {"_attn_implementation": {"": "sdpa", "text_config": "somebody/kernel"}},
        {"text_config": {"attn_implementation": "somebody/kernel"}},
        {"_attn_implementation": "flash_attention_2"},
        {"experts_implementation": "somebody/kernel"},
        {"quantization_config": {"quant_method": "mxfp4"}},
        {"text_config": {"quantization_config": {"quant_method": "gptq"}}},
    ],
    ids=json.dumps,
)
def test_a_configuration_that_asks_for_code_is_refused(kind, model, harmed, values):
    opened(kind, model)
    changed(model, **values)
    with pytest.raises(UserError, match=r"config\.json: .*(code)"):
        opened(kind, model)
    assert not harmed.exists()


@pytest.mark.parametrize("name", ["AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer"])
def test_code_beside_a_model_does_not_run(kind, model, harmed, name):
    (model / "evil.py").write_text(f"open({str(harmed)!r}, 'w')\nclass Evil: pass\n")
    changed(model, model_type="evil", auto_map={name: "evil.Evil"})
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}))
    with pytest.raises(UserError, match=str(model)):
        opened(kind, model)
    _model_template.cache_clear()
    with pytest.raises(UserError, match="cannot be loaded"):
        _model_template(str(model), None)
    assert not harmed.exists()


def test_generation_code_beside_a_model_does_not_run(model, kind, harmed):
    (model / "custom_generate").mkdir()
    (model / "custom_generate" / "generate.py").write_text(
        f"open({str(harmed)!r}, 'w')\ndef generate(*_, **__): pass\n"
    )
    (model / "generation_config.json").write_text(json.dumps({"custom_generate": str(model)}))
    with pytest.raises(UserError, match="custom_generate/"):
        opened(kind, model)
    assert not harmed.exists()


def test_an_adapter_does_not_bring_another_model(kind, model):
    (model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "somebody/model"}))
    with pytest.raises(UserError, match="is an adapter"):
        opened(kind, model)


def test_pickled_weights_are_not_loaded(kind, model, monkeypatch):
    torch.save({"a": torch.zeros(1)}, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle was loaded"))
    with pytest.raises(UserError, match=r"(?i)pickled weights are never loaded.*SECURITY\.md"):
        opened(kind, model)


ABSURD = (
    {"hidden_size": 10**9},
    {"num_hidden_layers": 10**9},
    {"num_hidden_layers": 900, "hidden_size": 65536},
    {"vocab_size": 10**9},
    {"vocab_size": 10**6, "hidden_size": 10**6},
    {"max_position_embeddings": 10**9},
    {"intermediate_size": 10**12},
    {"hidden_size": 10**6, "num_attention_heads": 10**6},
    {"type_vocab_size": 10**9},
    {"vocab_size": -5},
)
OPTIONS = (
    {"memory_layers": 10**9},
    {"memory_backbone": {"_target_": "antigravity.fly"}},
    {"speaker_tags": "${oc.env:SECRET}"},
)
HUGE = b'{"a": {"dtype": "F32", "shape": [1000000000, 1000000000], "data_offsets": [0, 4]}}'
BROKEN = (
    ("classifier.json", b"[" * 100_000),
    ("classifier.json", b'{"format": 3}'),
    ("config.json", b"[" * 100_000),
    ("config.json", b"[]"),
    ("tokenizer.json", b"[" * 100_000),
    ("tokenizer.json", b"{}"),
    ("tokenizer_config.json", b"[" * 100_000),
    ("model.safetensors", (1 << 60).to_bytes(8, "little") + b"{}"),
    ("model.safetensors", b"\xff\xff\xff\x05\0\0\0\0" + b"[" * 1000),
    ("model.safetensors", len(HUGE).to_bytes(8, "little") + HUGE + bytes(4)),
)
# One process opens all: importing what opens them takes longer than anything else.
EACH = """
    {imports}
    for folder in sorted(path.iterdir()):
        try:
            {opened}
            print("taken:", folder)
        except UserError as error:
            print(folder, "refused:", error)
"""
OPEN = {
    "saved": ("from ercsatz import load_classifier", "load_classifier(folder)"),
    "backbone": (
        "from ercsatz.classifiers.encoder.pretrained import open_backbone; from ercsatz.config import BackboneConfig",
        "open_backbone(BackboneConfig('local', str(folder)), []).encoder()",
    ),
    "generator": (
        "import torch; from ercsatz.generators.transformers_model import load; from ercsatz.generators.chat import *",
        "load(str(folder), torch.device('cpu'), torch.float32, ChatTemplate.raw)",
    ),
}


def refused(measured, kind: str, copies: Path, number: int) -> str:
    imports, opened = OPEN[kind]
    done = measured(EACH.format(imports=imports, opened=opened).strip(), copies, 120, 1500)
    assert (done.seconds < 120, done.peak < 1500) == (True, True), done
    assert done.status == 0, done.printed[-2000:]
    assert done.printed.count(" refused: ") == number, done.printed
    assert "taken:" not in done.printed
    assert "Traceback" not in done.printed
    return done.printed


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved classifier with random weights."""
    tiny = open_backbone(BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 1, 2, 400)), ["tea", "no"])
    folder = tmp_path_factory.mktemp("saved") / "compm"
    checkpoint.save(checkpoint.build(VARIANTS["compm"].config, tiny, ("joy", "anger")), folder)
    return folder


def test_absurd_sizes_of_a_model_are_refused(measured, kind, model, tmp_path):
    for number, values in enumerate(ABSURD[:4]):
        changed(Path(shutil.copytree(model, tmp_path / "copies" / str(number))), **values)
    refused(measured, kind, tmp_path / "copies", 4)


def test_absurd_and_broken_files_of_a_saved_classifier_are_refused(measured, saved, tmp_path):
    copies = tmp_path / "copies"
    for number, values in enumerate(ABSURD):
        changed(Path(shutil.copytree(saved, copies / f"size{number}")), **values)
    for number, options in enumerate(OPTIONS):
        file = Path(shutil.copytree(saved, copies / f"options{number}")) / "classifier.json"
        found = json.loads(file.read_text())
        file.write_text(json.dumps({**found, "classifier": {**found["classifier"], **options}}))
    for number, (name, content) in enumerate(BROKEN):
        folder = Path(shutil.copytree(saved, copies / f"broken{number}"))
        (folder / name).write_bytes(content)
    file = Path(shutil.copytree(saved, copies / "vocabulary")) / "tokenizer.json"
    found = json.loads(file.read_text())
    found["model"]["vocab"][next(reversed(found["model"]["vocab"]))] = 10**6
    file.write_text(json.dumps(found))
    printed = refused(measured, "saved", copies, len(ABSURD) + len(OPTIONS) + len(BROKEN) + 1)
    assert "has tokens that the weights beside it do not know" in printed
    assert "memory_layers: 1,000,000,000 is more than its weights have" in printed
    assert printed.count("names no code and no other key's value") == 2
