import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import stats
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TypicalLogitsWarper,
)

from ercsatz import config
from ercsatz.errors import UserError
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.interface import Answer, FinishReason, RefusedError, Request
from ercsatz.generators.language_model import SamplingConfig
from ercsatz.generators.transformers import TransformersConfig
from ercsatz.generators.transformers_model import Model, load
from ercsatz.generators.transformers_sampling import Penalty, gumbel, uniforms
from ercsatz.generators.transformers_server import LocalServer

TEXT = "write a conversation between Ann and Bo in which somebody is angry joyful sad or surprised about the tea"
WORDS = TEXT.split()
CHAT = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %} [assistant]{% endif %}"
)
ENDS = [1, 40, 77, 101, 120, 155, 200, 250]  # many, so that answers differ in length
TABLE_2 = SamplingConfig(
    temperature=0.7, top_p=1, top_k=10000, repetition_penalty=1, typical_p=0.995, max_new_tokens=24
)
PLAIN = replace(TABLE_2, top_k=0, typical_p=1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random weights, as users have checkpoints."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([TEXT] * 3, trainer)
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.2,  # makes what comes next depend on what was said
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(shape)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=ENDS)
    model.save_pretrained(folder)
    return folder


def settings(folder: Path | str, sampling: SamplingConfig = TABLE_2, **other: Any) -> TransformersConfig:
    return TransformersConfig(
        **{
            "name": "transformers",
            "window": 32,
            "sampling": sampling,
            "chat_template": ChatTemplate.model,
            "model": str(folder),
            "device": "cpu",
            "dtype": "auto",
            "batch_size": 32,
            **other,
        }
    )


def request(seed: int = 0, prompt: str = "write", **other: Any) -> Request:
    return Request(seed, seed, prompt, "natural", config.PromptStyle.cast, ("Ann", "Bo"), ("joy",), None, 5, **other)


def mixed(n: int) -> list[Request]:
    """Prompts of one to fifty words."""
    draw = random.Random(0)
    return [
        request(draw.randrange(2**63), " ".join(draw.choices(WORDS, k=draw.choice((1, 3, 10, 50))))) for _ in range(n)
    ]


def ask(chosen: TransformersConfig, requests: Sequence[Request]) -> list[Answer]:
    async def run() -> list[Answer]:
        (server,) = chosen.build().servers
        try:
            return await asyncio.gather(*map(server.answer, requests))
        finally:
            await server.close()

    return asyncio.run(run())


def loaded(folder: Path, template: ChatTemplate = ChatTemplate.raw) -> Model:
    return load(str(folder), torch.device("cpu"), torch.float32, template)


def sample(model: Model, ids: list[int], n: int, max_new_tokens: int = 1, **sampling: float) -> list[list[int]]:
    return model.generate([ids] * n, range(n), max_new_tokens, sampling, threading.Event())


def next_logits(folder: Path, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([ids])).logits[0, -1]


def fit(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    """The p-value of a chi-square test; outcomes that are expected less than five times are counted together."""
    expected = probabilities.double() * counts.sum()
    rare = expected < 5
    pooled = [
        torch.cat([values[~rare], values[rare].sum()[None]]) if rare.any() else values
        for values in (counts.double(), expected)
    ]
    return float(stats.chisquare(pooled[0], pooled[1] * pooled[0].sum() / pooled[1].sum()).pvalue)


@pytest.fixture(scope="module")
def together(folder: Path) -> list[Answer]:
    return ask(settings(folder), mixed(32))


def test_answers_differ_and_end_at_different_lengths(together: list[Answer]) -> None:
    assert len({answer.text for answer in together}) == 32
    assert len({answer.new_tokens for answer in together}) > 6
    assert {answer.finish_reason for answer in together} == {FinishReason.stop, FinishReason.length}


def test_a_batch_of_32_is_one_batch(folder: Path, together: list[Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    generate = Model.generate
    monkeypatch.setattr(Model, "generate", lambda self, *a: sizes.append(len(a[0])) or generate(self, *a))
    assert ask(settings(folder), mixed(32)) == together
    assert sizes == [32]


@pytest.mark.parametrize("batch_size", [1, 5])
def test_answers_do_not_depend_on_the_batch(folder: Path, together: list[Answer], batch_size: int) -> None:
    assert ask(settings(folder, batch_size=batch_size), mixed(32)) == together


def test_answers_do_not_depend_on_the_order(folder: Path, together: list[Answer]) -> None:
    assert ask(settings(folder), mixed(32)[::-1]) == together[::-1]


def test_answers_do_not_depend_on_neighbours_under_a_repetition_penalty(folder: Path) -> None:
    chosen = settings(folder, replace(TABLE_2, repetition_penalty=1.3))
    assert ask(chosen, mixed(16)) == ask(replace(chosen, batch_size=1), mixed(16))


def test_another_process_and_a_hub_name_give_the_same(folder: Path, together: list[Answer], tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    shutil.copytree(folder, repository / "snapshots" / "abc123")
    code = (
        "import asyncio, json, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_transformers import mixed, settings\n"
        "async def run():\n"
        "    (server,) = settings('someone/tiny').build().servers\n"
        "    identity = await server.identify()\n"
        "    answers = await asyncio.gather(*map(server.answer, mixed(32)))\n"
        "    await server.close()\n"
        "    print(json.dumps([identity.model, [answer.text for answer in answers]]))\n"
        "asyncio.run(run())\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "7"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["someone/tiny@abc123", [answer.text for answer in together]]


def test_tokens_are_counted_and_prompts_are_not_echoed(folder: Path, together: list[Answer]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for asked, answer in zip(mixed(32), together, strict=True):
        assert answer.prompt_tokens == len(tokenizer(f"[user] {asked.prompt} [assistant]").input_ids)
        assert asked.prompt not in answer.text or len(asked.prompt) < 10
        assert "<s>" not in answer.text
        assert "</s>" not in answer.text
        assert answer.new_tokens == 24 or answer.finish_reason is FinishReason.stop


def test_an_answer_stops_at_its_first_end_token(folder: Path) -> None:
    model = loaded(folder)
    said = model.answer([5, 6], [10, 11, 40, 12])
    assert said == Answer(model.answer([], [10, 11]).text, FinishReason.stop, 2, 3)
    assert model.answer([5], [40, 40, 40]) == Answer("", FinishReason.stop, 1, 1)
    assert model.answer([5], [10, 11, 12]).finish_reason is FinishReason.length


@pytest.mark.parametrize("length", [1, 7])
def test_a_request_may_have_a_limit_of_its_own(folder: Path, together: list[Answer], length: int) -> None:
    requests = mixed(8)
    requests[3] = replace(requests[3], max_new_tokens=length)
    answers = ask(settings(folder), requests)
    assert answers[:3] + answers[4:] == together[:3] + together[4:8]
    assert answers[3].new_tokens == length
    assert together[3].text.startswith(answers[3].text)
    assert answers[3].finish_reason is FinishReason.length


@pytest.mark.parametrize("template", list(ChatTemplate))
def test_a_prompt_has_one_start_token_whatever_its_template(folder: Path, template: ChatTemplate) -> None:
    ids = loaded(folder, template).encode("write a tea", 5)
    assert ids[0] == 0
    assert ids.count(0) == 1
    said = AutoTokenizer.from_pretrained(folder).decode(ids[1:])
    wanted = {"raw": "write a tea", "model": "[user] write a tea [assistant]", "vicuna": "USER: write a tea ASSISTANT:"}
    assert said.endswith(wanted[template.value])


def test_a_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(folder, tmp_path / "bare")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(bare)
    with pytest.raises(UserError, match="no chat template"):
        ask(settings(bare), [request()])
    assert ask(settings(bare, chat_template=ChatTemplate.vicuna), [request()])[0].text


def test_a_checkpoints_own_sampling_is_ignored(folder: Path, together: list[Answer], tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    meant = {"do_sample": True, "temperature": 0.1, "top_k": 1, "top_p": 0.1, "repetition_penalty": 5.0}
    meant |= {"no_repeat_ngram_size": 2, "min_new_tokens": 30, "max_length": 9, "suppress_tokens": [10, 11]}
    file = own / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | meant))
    assert ask(settings(own), mixed(32)) == together


def test_top_k_1_is_greedy(folder: Path) -> None:
    asked = mixed(4)
    network, model = AutoModelForCausalLM.from_pretrained(folder), loaded(folder)
    greedy = GenerationConfig(do_sample=False, max_new_tokens=24, eos_token_id=ENDS, pad_token_id=1)
    wanted = []
    for one in asked:
        ids = torch.tensor([model.encode(one.prompt, 24)])
        new = network.generate(ids, attention_mask=torch.ones_like(ids), generation_config=greedy)[0, ids.shape[1] :]
        wanted.append(model.answer(ids[0].tolist(), new.tolist()))
    chosen = settings(folder, replace(PLAIN, top_k=1), chat_template=ChatTemplate.raw)
    assert ask(chosen, asked) == wanted


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_frequencies_are_those_of_the_softmax(folder: Path, temperature: float) -> None:
    ids = [0, 60, 70, 80]
    new = sample(loaded(folder), ids, 20000, temperature=temperature)
    counts = torch.bincount(torch.tensor(new).flatten(), minlength=300)
    assert fit(counts, (next_logits(folder, ids) / temperature).softmax(-1)) > 0.001
    assert fit(counts, (next_logits(folder, ids) / temperature / 1.2).softmax(-1)) < 1e-6  # the test would notice


def test_later_tokens_follow_the_softmax_after_earlier_ones(folder: Path) -> None:
    ids = [0, 60]
    new = torch.tensor(sample(loaded(folder), ids, 20000, 2, temperature=0.5))
    first = int(new[:, 0][~torch.isin(new[:, 0], torch.tensor(ENDS))].mode().values)
    counts = torch.bincount(new[new[:, 0] == first, 1], minlength=300)
    assert counts.sum() > 1000
    assert fit(counts, (next_logits(folder, [*ids, first]) / 0.5).softmax(-1)) > 0.001


@pytest.mark.parametrize("sampling", [{"top_k": 5}, {"typical_p": 0.3}, {"top_p": 0.4}])
def test_filters_keep_the_rest_out(folder: Path, sampling: dict[str, float]) -> None:
    ids = [0, 60, 70, 80]
    logits = next_logits(folder, ids)[None]
    probabilities, order = logits.softmax(-1)[0].sort(descending=True)
    top_p = order[: int((probabilities.cumsum(0) < 0.4).sum()) + 1]
    wanted = {
        "top_k": logits.topk(5).indices,
        "typical_p": TypicalLogitsWarper(0.3)(torch.empty(0), logits).isfinite()[0].nonzero(),
        "top_p": top_p,
    }[next(iter(sampling))]
    drawn = {token for (token,) in sample(loaded(folder), ids, 4000, **sampling)}
    assert drawn == set(wanted.flatten().tolist())


def test_a_repetition_penalty_takes_no_notice_of_padding() -> None:
    scores = torch.randn(1, 10, generator=torch.Generator().manual_seed(0))
    alone = Penalty(2.0, torch.tensor([0]))(torch.tensor([[4, 5, 4]]), scores.clone())
    beside = Penalty(2.0, torch.tensor([2]))(torch.tensor([[1, 1, 4, 5, 4]]), scores.clone())
    assert torch.equal(alone, beside)
    assert (alone != scores).nonzero()[:, 1].tolist() == [4, 5]


@pytest.mark.parametrize("across", ["tokens", "steps", "seeds"])
def test_noise_is_uniform_and_independent(across: str) -> None:
    if across == "tokens":
        numbers = uniforms(torch.tensor([0, 1]), 0, 100_000)
    elif across == "steps":
        numbers = torch.cat([uniforms(torch.tensor([5]), step, 50) for step in range(2000)]).T.contiguous()
    else:
        numbers = uniforms(torch.arange(2000), 3, 50).T.contiguous()
    flat = numbers.flatten().double()
    assert float(flat.min()) > 0
    assert float(flat.max()) < 1
    assert stats.kstest(flat.numpy(), "uniform").pvalue > 0.001
    for lag in (1, 2, 7):
        pairs = torch.stack([numbers[:, :-lag], numbers[:, lag:]]).mul(10).long()
        cells = (pairs[0] * 10 + pairs[1]).flatten()
        assert fit(torch.bincount(cells, minlength=100), torch.full((100,), 0.01)) > 0.001
    between = torch.corrcoef(numbers[:2].double())[0, 1]
    assert abs(float(between)) < 4 / numbers.shape[1] ** 0.5


def test_noise_has_the_moments_of_a_gumbel_distribution() -> None:
    noise = gumbel(torch.arange(20), 0, 20_000).double()
    assert float(noise.mean()) == pytest.approx(0.57722, abs=0.01)
    assert float(noise.var()) == pytest.approx(torch.pi**2 / 6, abs=0.02)
    assert noise.isfinite().all()


def test_a_seeds_bits_all_count() -> None:
    seeds = torch.tensor([0] + [1 << bit for bit in range(63)])
    assert len({tuple(row) for row in uniforms(seeds, 0, 4).tolist()}) == 64


def test_who_the_model_is_depends_on_its_content_and_not_on_its_place(folder: Path, tmp_path: Path) -> None:
    async def identity(place: Path) -> Any:
        server = settings(place).build().servers[0]
        try:
            return await server.identify()
        finally:
            await server.close()

    first = asyncio.run(identity(folder))
    copy = shutil.copytree(folder, tmp_path / "tiny")
    (copy / "README.md").write_text("notes")
    assert asyncio.run(identity(copy)) == first
    assert first.model.startswith("tiny@")
    assert first.limit == 32
    assert first.details["device"] == "cpu"
    assert first.details["dtype"] == "float32"
    assert first.details["parameters"] > 10_000
    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert asyncio.run(identity(copy)).model != first.model


def test_a_prompt_that_does_not_fit_is_refused(folder: Path) -> None:
    model = loaded(folder)
    length = len(model.encode("tea " * 20, 1))
    assert len(model.encode("tea " * 20, 256 - length)) == length
    with pytest.raises(RefusedError, match=f"{length} tokens.* 256 tokens") as refused:
        model.encode("tea " * 20, 257 - length)
    assert refused.value.status == 413


def test_a_missing_model_is_named() -> None:
    with pytest.raises(UserError, match=r"generator\.model=/nowhere/at/all"):
        ask(settings("/nowhere/at/all"), [request()])


@pytest.mark.parametrize("spoil", ["tokenizer", "weights", "one weight", "config"])
def test_an_unfit_folder_is_named(folder: Path, tmp_path: Path, spoil: str) -> None:
    unfit = shutil.copytree(folder, tmp_path / "unfit")
    if spoil == "tokenizer":
        for file in unfit.glob("tokenizer*"):
            file.unlink()
    elif spoil == "config":
        (unfit / "config.json").unlink()
    elif spoil == "weights":
        (unfit / "model.safetensors").write_bytes(b"nothing")
    else:
        weights = load_file(unfit / "model.safetensors")
        del weights["model.norm.weight"]
        save_file(weights, unfit / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"generator\.model=.*unfit cannot be loaded"):
        ask(settings(unfit), [request()])


def test_a_model_that_gives_no_numbers_is_an_error(folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"NaN in float32.*generator\.dtype"):
        ask(settings(broken), [request()])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"guided": True}, "guided=false"),
        ({"device": "toaster"}, "generator.device=toaster"),
        ({"dtype": "int8"}, "generator.dtype=int8"),
    ],
)
def test_senseless_settings_are_refused_before_anything_is_loaded(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        settings("anything", **changes).build()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_a_device_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"generator\.device=cuda"):
        ask(settings(folder, device="cuda"), [request()])


def test_settings_tell_all_that_answers_depend_on() -> None:
    generator = settings("anything", dtype="bfloat16").build()
    sent = {"temperature": 0.7, "top_k": 10000, "typical_p": 0.995, "max_new_tokens": 24}
    assert generator.settings == {
        "sampling": sent,
        "dropped": {},
        "chat_template": "model",
        "dtype": "bfloat16",
        "model": "anything",
    }
    assert generator.sent == sent
    assert json.dumps(generator.settings)


class StandIn:
    """Answers with the seed, in no time; ``fits`` at once."""

    def __init__(self, fits: int = 1000) -> None:
        self.fits, self.sizes = fits, []

    def encode(self, prompt: str, max_new_tokens: int) -> list[int]:
        return [len(prompt)]

    def answer(self, prompt: Sequence[int], new: Sequence[int]) -> Answer:
        return Answer(str(new[0]), FinishReason.stop)

    def generate(self, prompts: Any, seeds: Sequence[int], max_new_tokens: int, *_: Any) -> list[list[int]]:
        if len(prompts) > self.fits:
            raise torch.OutOfMemoryError
        self.sizes.append((len(prompts), max_new_tokens))
        return [[seed] for seed in seeds]


async def _ask(server: LocalServer, requests: Sequence[Request]) -> list[str]:
    answers = await asyncio.gather(*map(server.answer, requests))
    return [answer.text for answer in answers]


def test_a_batch_that_does_not_fit_is_halved_once_for_all(caplog: pytest.LogCaptureFixture) -> None:
    model = StandIn(fits=5)
    server = LocalServer(lambda: model, {"max_new_tokens": 9}, 16)
    assert asyncio.run(_ask(server, [request(seed) for seed in range(20)])) == [str(seed) for seed in range(20)]
    assert model.sizes == [(4, 9)] * 5
    assert "generator.batch_size=4" in caplog.text


def test_a_single_answer_that_does_not_fit_is_an_error() -> None:
    server = LocalServer(lambda: StandIn(fits=0), {"max_new_tokens": 9}, 4)
    with pytest.raises(UserError, match=r"generator\.batch_size"):
        asyncio.run(_ask(server, [request(seed) for seed in range(4)]))


def test_limits_are_not_mixed_and_nobody_is_forgotten() -> None:
    model = StandIn()
    server = LocalServer(lambda: model, {"max_new_tokens": 9}, 4)
    requests = [request(seed, max_new_tokens=3 if seed % 2 else None) for seed in range(6)]
    assert asyncio.run(_ask(server, requests)) == [str(seed) for seed in range(6)]
    assert sorted(model.sizes) == [(3, 3), (3, 9)]


def test_a_request_alone_hardly_waits() -> None:
    async def run() -> float:
        server = LocalServer(StandIn, {"max_new_tokens": 9}, 32)
        await server.answer(request(1))
        started = time.perf_counter()
        await server.answer(request(2))
        return time.perf_counter() - started

    assert min(asyncio.run(run()) for _ in range(3)) < 0.1


def test_closing_ends_a_running_batch_and_answers_nobody() -> None:
    class Endless(StandIn):
        def generate(self, prompts: Any, seeds: Any, limit: int, sampling: Any, stop: threading.Event) -> Any:
            running.set()
            assert stop.wait(20)
            return [[seed] for seed in seeds]

    running = threading.Event()

    async def run() -> list[Any]:
        server = LocalServer(Endless, {"max_new_tokens": 9}, 2)
        tasks = [asyncio.create_task(server.answer(request(seed))) for seed in range(3)]
        await asyncio.to_thread(running.wait, 20)
        await server.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in asyncio.run(run())] == [asyncio.CancelledError] * 3


def test_whoever_gives_up_is_left_out_of_the_next_batch() -> None:
    async def run() -> list[tuple[int, int]]:
        model = StandIn()
        server = LocalServer(lambda: model, {"max_new_tokens": 9}, 32)
        tasks = [asyncio.create_task(server.answer(request(seed))) for seed in range(3)]
        while not server._waiting:
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return model.sizes

    assert asyncio.run(run()) == [(2, 9)]


def test_stopping_ends_generation_at_the_next_token(folder: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert [len(row) for row in loaded(folder).generate([[0, 60]], [1], 200, {}, stop)] == [1]
