import asyncio
import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generation.guided import grammar
from ercsatz.generators.chat import VICUNA, ChatTemplate
from ercsatz.generators.interface import (
    BusyError,
    FailedError,
    FinishReason,
    RefusedError,
    Request,
    ServerError,
    Step,
    TimedOutError,
    UnreachableError,
)
from ercsatz.generators.language_model import SamplingConfig
from ercsatz.generators.tgi import TgiConfig

pytestmark = pytest.mark.tgi
pytest.importorskip("text_generation")

TABLE_2 = SamplingConfig(
    temperature=0.7, top_p=1, top_k=10000, repetition_penalty=1, typical_p=0.995, max_new_tokens=512
)
CONFIG = TgiConfig(
    name="tgi",
    window=4,
    sampling=TABLE_2,
    chat_template=ChatTemplate.raw,
    timeout=5,
    tries=1,
    patience=1,
)
REQUEST = Request(
    index=0,
    seed=2**63 - 1,
    prompt="Maya talks to Tomas in about 6 utterances.",
    mode="natural",
    style=PromptStyle.cast,
    speakers=("Maya", "Tomas"),
    labels=("joy", "neutral"),
    target=None,
    n_turns=6,
)


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def use(tgi_stand_in):
    """Run ``act(generator's server, stand-in)``; keywords are the configuration's, ``options`` the stand-in's."""

    def run(act, pattern=None, options=None, **changes):
        async def main():
            async with tgi_stand_in.TgiServer(**(options or {})) as stand_in:
                (server,) = replace(CONFIG, url=stand_in.url, **changes).build(pattern).servers
                try:
                    return await act(server, stand_in)
                finally:
                    await server.close()

        return asyncio.run(main())

    return run


@pytest.fixture
def failure(use):
    """The error that a request meets."""

    def fail(kind, options=None, **changes):
        async def act(server, stand_in):
            stand_in.next_faults.append(kind)
            await server.answer(REQUEST)

        with pytest.raises(ServerError) as caught:
            use(act, options=options, **changes)
        return caught.value

    return fail


def sent(use, request=REQUEST, **changes):
    """The JSON that goes out."""

    async def act(server, stand_in):
        await server.answer(request)
        return stand_in.received[-1][1]

    return use(act, **changes)


def test_table_2_is_sent_without_the_values_that_do_nothing(use):
    assert sent(use) == {
        "inputs": REQUEST.prompt,
        "stream": False,
        "parameters": {
            "do_sample": True,
            "temperature": 0.7,
            "top_k": 10000,
            "typical_p": 0.995,
            "max_new_tokens": 512,
            "seed": 2**63 - 1,
            "return_full_text": False,
            "stop": [],
            "watermark": False,
            "details": True,
            "decoder_input_details": False,
        },
    }


def test_values_that_do_something_are_sent(use):
    sampling = replace(TABLE_2, top_p=0.9, top_k=0, typical_p=1, repetition_penalty=1.2)
    parameters = sent(use, sampling=sampling)["parameters"]
    assert (parameters["top_p"], parameters["repetition_penalty"]) == (0.9, 1.2)
    assert not {"top_k", "typical_p"} & set(parameters)


def test_generator_says_what_answers_depend_on():
    generator = replace(CONFIG, url="http://127.0.0.1:1", chat_template=ChatTemplate.vicuna).build("a|b")
    assert generator.sent == {"temperature": 0.7, "top_k": 10000, "typical_p": 0.995, "max_new_tokens": 512}
    assert generator.dropped == {}
    assert json.loads(json.dumps(generator.settings)) == {
        "sampling": generator.sent,
        "dropped": {},
        "chat_template": "vicuna",
        "tokenizer": None,
        "grammar": "a|b",
    }


def test_answer_is_read_with_its_token_counts(use, tgi_stand_in):
    async def act(server, stand_in):
        return await server.answer(REQUEST), await server.answer(REQUEST), stand_in.stats()

    answer, again, stats = use(act, options={"answer": tgi_stand_in.dialogue(flaws=0)})
    assert answer == again
    assert len(re.findall(r"^(?:Maya|Tomas): .+ \([1-7]\)$", answer.text, re.MULTILINE)) == 6
    assert answer.finish_reason is FinishReason.stop
    assert answer.prompt_tokens == len(REQUEST.prompt) // 4 + 1
    assert answer.new_tokens == len(answer.text.split()) + 1  # the end token
    assert (stats["answered"], stats["distinct"]) == (2, 1)


def test_request_may_lower_the_length_limit(use):
    async def act(server, stand_in):
        return await server.answer(replace(REQUEST, max_new_tokens=3))

    answer = use(act)
    assert (answer.finish_reason, answer.new_tokens, len(answer.text.split())) == (FinishReason.length, 3, 3)


def test_stop_sequence_is_a_stop(use, monkeypatch):
    from ercsatz.generators.tgi_client import PooledClient

    complete = PooledClient.complete

    async def stopping(self, prompt, parameters):
        return await complete(self, prompt, {**parameters, "stop": ["\n"]})

    monkeypatch.setattr(PooledClient, "complete", stopping)

    async def act(server, stand_in):
        return await server.answer(REQUEST)

    answer = use(act)
    assert (answer.finish_reason, answer.text.count("\n")) == (FinishReason.stop, 1)


def test_grammar_holds_for_dialogues_only(use):
    pattern = grammar(7, 3, 9)

    async def act(server, stand_in):
        answer = await server.answer(REQUEST)
        await server.answer(replace(REQUEST, step=Step.situation))
        return answer, [body["parameters"].get("grammar") for _, body in stand_in.received]

    answer, grammars = use(act, pattern)
    assert grammars == [{"type": "regex", "value": pattern}, None]
    assert re.fullmatch(pattern, answer.text)


def test_token_is_sent(use, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")

    async def act(server, stand_in):
        await server.answer(REQUEST)
        return stand_in.received[-1][0]["Authorization"]

    assert use(act) == "Bearer secret"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("400", "HTTP 400: Failed to parse the request body as JSON: EOF while parsing"),
        ("401", "HTTP 401: Unauthorized"),
        ("403", "HTTP 403: 403 Forbidden"),
        ("404", "HTTP 404: Not Found"),
        ("413", "HTTP 413: length limit exceeded"),
        ("415", "HTTP 415: Expected request with `Content-Type: application/json`"),
        ("422", "HTTP 422: Template error: no template"),
    ],
)
def test_what_the_server_will_never_take_is_refused(failure, kind, words):
    error = failure(kind)
    assert isinstance(error, RefusedError)
    assert str(error).startswith(words)
    assert error.status == int(kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("424", "HTTP 424: Request failed during generation: CUDA out of memory"),
        ("500", "HTTP 500: Incomplete generation"),
        ("502", "HTTP 502: 502 Bad Gateway"),
        ("503", "HTTP 503: 503 Service Temporarily Unavailable"),
        ("504", "HTTP 504: 504 Gateway Time-out"),
        ("garbage", 'An answer that cannot be read: [{"generated_text": "Maya: Well'),
        ("drop", "The connection broke off: "),
        ("reset", "The connection broke off: "),
    ],
)
def test_failures_are_told_apart_from_refusals(failure, kind, words):
    error = failure(kind)
    assert isinstance(error, FailedError)
    assert str(error).startswith(words)
    assert len(str(error)) < 350


@pytest.mark.parametrize(("kind", "words"), [("429", "Model is overloaded"), ("429 proxy", "429 Too Many Requests")])
@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("7", 7.0), ("soon", None)])
def test_busy_server_may_say_for_how_long(failure, kind, words, header, seconds):
    error = failure(kind, {"retry_after": header})
    assert isinstance(error, BusyError)
    assert (str(error), error.retry_after) == (words, seconds)


def test_busy_server_may_name_a_time(failure):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert failure("429", {"retry_after": date}).retry_after == pytest.approx(59.5, abs=3)


def test_full_server_is_busy_at_once(use):
    async def act(server, stand_in):
        answers = [server.answer(replace(REQUEST, seed=seed)) for seed in range(5)]
        return await asyncio.gather(*answers, return_exceptions=True), stand_in.stats()

    answers, stats = use(act, options={"slots": 3, "latency": "constant:0.5"})
    assert sum(isinstance(answer, BusyError) for answer in answers) == 2
    assert (stats["peak_in_flight"], stats["answered"]) == (3, 3)
    assert 1.45 <= stats["busy_slot_seconds"] <= 3 * stats["seconds"]


def test_late_answer_is_a_time_out_and_frees_the_slot(use):
    async def act(server, stand_in):
        stand_in.next_faults.append("hang")
        with pytest.raises(TimedOutError, match=r"No answer within 0\.5 s"):
            await server.answer(REQUEST)
        return await server.answer(REQUEST)

    assert use(act, options={"slots": 1}, timeout=0.5).text


def test_nobody_there(use):
    async def act(server, stand_in):
        await server.answer(REQUEST)
        await stand_in.die()
        with pytest.raises(UnreachableError, match="Connect call failed"):
            await server.answer(REQUEST)
        with pytest.raises(UnreachableError):
            await server.identify()
        healthy = await server.healthy()
        await stand_in.come_back()
        return healthy, await server.healthy(), await server.answer(REQUEST)

    down, up, answer = use(act)
    assert (down, up) == (False, True)
    assert answer.text


def test_unknown_host_is_unreachable():
    async def act():
        (server,) = replace(CONFIG, url="http://nowhere.invalid:80", timeout=60).build().servers
        try:
            await server.answer(REQUEST)
        finally:
            await server.close()

    with pytest.raises(UnreachableError, match=r"nowhere\.invalid"):
        asyncio.run(act())


def test_server_that_dies_midway_fails(use):
    async def act(server, stand_in):
        asking = asyncio.create_task(server.answer(REQUEST))
        while not stand_in.in_flight:
            await asyncio.sleep(0.01)
        await stand_in.die()
        with pytest.raises(FailedError, match="The connection broke off"):
            await asking

    use(act, options={"latency": "constant:4"})


def test_connections_are_used_again(use):
    async def act(server, stand_in):
        for _ in range(5):
            await server.answer(REQUEST)
        return len(stand_in._runner.server.connections)

    assert use(act) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": ""}, "`inputs` cannot be empty"),
        ({"prompt": "a" * 20_000}, "`inputs` tokens + `max_new_tokens` must be <= 4096"),
        ({"prompt": "a" * 3_000_000}, "Maximum request body size"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"seed": -1}, "`seed` must be positive"),
        ({"seed": 2**64}, "parameters.seed: invalid type"),
    ],
)
def test_limits_are_reported_in_the_words_of_whoever_checks(use, change, words):
    async def act(server, stand_in):
        await server.answer(replace(REQUEST, **change))

    with pytest.raises(RefusedError, match=re.escape(words)):
        use(act)


def test_server_says_who_it_is(use):
    async def act(server, stand_in):
        return server.name == stand_in.url, await server.identify()

    same, identity = use(act, options={"slots": 7})
    assert same
    assert (identity.model, identity.limit) == ("stand-in/vicuna-13b@0123456789abcdef", 7)
    assert identity.details["max_total_tokens"] == 4096


@pytest.mark.parametrize("said", [None, "128", 0, -1, 12.5, True, [128]])
def test_limit_that_is_no_number_of_requests_is_not_said(use, said):
    async def act(server, stand_in):
        stand_in.info["max_concurrent_requests"] = said
        return (await server.identify()).limit

    assert use(act) is None


def test_model_without_revision_goes_by_its_name(use):
    async def act(server, stand_in):
        stand_in.info["model_sha"] = None
        return (await server.identify()).model

    assert use(act) == "stand-in/vicuna-13b"


def test_other_kind_of_server_is_noticed(use):
    async def act(server, stand_in):
        stand_in.info = {"object": "list"}
        await server.identify()

    with pytest.raises(FailedError, match=r"/info names no model, so this is no TGI server: \{\"object\""):
        use(act)


def test_sick_server_is_not_healthy(use):
    async def act(server, stand_in):
        stand_in.healthy = False
        return await server.healthy()

    assert use(act) is False


def test_vicuna_template_wraps_the_prompt(use):
    assert sent(use, chat_template=ChatTemplate.vicuna)["inputs"] == VICUNA.format(prompt=REQUEST.prompt)


@pytest.fixture
def tokenizer(tmp_path):
    """Saves a tiny tokenizer; ``adds_start``: it begins every text with its start token by itself."""

    def save(chat_template, adds_start=True):
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        fast = Tokenizer(models.WordLevel({"<s>": 0, "<unk>": 1}, unk_token="<unk>"))
        fast.pre_tokenizer = pre_tokenizers.Whitespace()
        if adds_start:
            fast.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
        saved = PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", unk_token="<unk>")
        saved.chat_template = chat_template
        saved.save_pretrained(tmp_path / "model")
        return str(tmp_path / "model")

    return save


TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %} [assistant]"


@pytest.mark.parametrize(("adds_start", "start"), [(True, ""), (False, "<s>")])
def test_model_template_starts_once(use, tokenizer, adds_start, start):
    folder = tokenizer(TEMPLATE, adds_start)
    inputs = sent(use, chat_template=ChatTemplate.model, tokenizer=folder)["inputs"]
    assert inputs == f"{start}[user] {REQUEST.prompt} [assistant]"


def test_template_is_that_of_the_model_served(use, tokenizer):
    folder = tokenizer(TEMPLATE)

    async def act(server, stand_in):
        stand_in.info |= {"model_id": folder, "model_sha": None}
        await server.answer(REQUEST)
        return stand_in.received[-1][1]["inputs"]

    assert use(act, chat_template=ChatTemplate.model) == f"[user] {REQUEST.prompt} [assistant]"


def test_missing_tokenizer_is_explained(use):
    async def act(server, stand_in):
        stand_in.info["model_id"] = "/no/such/model"
        await server.identify()

    with pytest.raises(UserError, match=r"tokenizer of /no/such/model.*generator\.tokenizer=.*chat_template=vicuna"):
        use(act, chat_template=ChatTemplate.model)


def test_tokenizer_without_template_is_explained(tokenizer):
    config = replace(CONFIG, url="http://a:1", chat_template=ChatTemplate.model, tokenizer=tokenizer(None))
    with pytest.raises(UserError, match=r"has no chat template.*generator\.chat_template=vicuna"):
        config.build()


def test_several_urls_are_several_servers():
    generator = replace(CONFIG, url=["http://a:1/generate", "http://b:1"]).build()
    assert [server.name for server in generator.servers] == ["http://a:1", "http://b:1"]


def test_wrong_url_is_refused():
    with pytest.raises(UserError, match=r"generator\.url: 'a:1' is no server's address"):
        replace(CONFIG, url="a:1").build()


def test_missing_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ercsatz.generators.tgi_client", None)
    with pytest.raises(UserError, match=r'pip install "ercsatz\[tgi\]"'):
        replace(CONFIG, url="http://a:1").build()


def test_faults_of_all_kinds_become_errors_of_ours(use):
    async def act(server, stand_in):
        requests = [server.answer(replace(REQUEST, seed=seed)) for seed in range(200)]
        return await asyncio.gather(*requests, return_exceptions=True), stand_in.stats()

    outcomes, stats = use(act, options={"slots": 200, "faults": 0.5, "latency": "lognormal:0.05"})
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {type(error) for error in failed} == {BusyError, FailedError}
    assert len(failed) + stats["answered"] == 200
    assert stats["repeated"] == {}
