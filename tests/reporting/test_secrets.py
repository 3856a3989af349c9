import time

import pytest
from omegaconf import OmegaConf

from ercsatz.errors import UserError
from ercsatz.reporting import secrets
from ercsatz.reporting.status import Status

GIVEN = [
    "generator.url=http://me:pass7word@host:80",
    "generator.url=http://pass7word@host",
    "generator.url=http://me:pass/7word@host",
    "generator.url=[http://a:1,'https://me:pass7word@b:1/v1']",
    "generator.url=http://host/?api_key=pass7word",
    "generator.url=http://host/v1?a=1&access_token=pass7word",
    "generator.url=http://host/#token=pass7word",
    "generator.url=http://host/?X-Amz-Signature=pass7word",
    "generator.url=${oc.env:URL,'http://me:pass7word@host'}",
    "+generator.api_key=pass7word",
    "++generator.API_KEY='pass7word'",
    "+generator={name: mine, apikey: pass7word}",
    "hydra.job.env_set.HF_TOKEN=pass7word",
    "hydra.job.env_set.OPENAI_API_KEY=pass7word",
    "generator.password=pass7word",
    "generator.model=sk-0123456789pass7word0123",
    "generator.model=hf_0123456789pass7word01234567890123456789",
]
HARMLESS = [
    "generator.url=http://host:8080/v1",
    "generator.url=[http://a:1,http://[::1]:2]",
    "generator.url=http://host:8080/@home",
    "generator.api_key=${oc.env:MINE}",
    "generator.api_key=null",
    "generator.api_key=???",
    "generator.sampling.max_new_tokens=5",
    "generator.tokenizer=org/model@main",
    "training.batch_tokens=512",
    "classifier.mask_token=<mask>",
    "data.path=token=1",
    "generator.model=sk-small",
    "benchmark.label_names.secret=sad",
    "prompts=me@host:folder",
]


@pytest.mark.parametrize("argument", GIVEN)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(argument):
    with pytest.raises(UserError, match=r"has a password or key in it.*OPENAI_API_KEY") as raised:
        secrets.refuse(["-m", "data=mini_bal", argument])
    assert "7word" not in str(raised.value)
    assert "7word" not in secrets.hidden(argument)


@pytest.mark.parametrize("argument", HARMLESS)
def test_what_is_no_secret_stays(argument):
    secrets.refuse([argument])
    assert secrets.hidden(argument) == argument


@pytest.mark.parametrize("argument", GIVEN[:4])
def test_a_secret_in_a_composed_configuration_ends_the_program(argument, capsys, monkeypatch):
    monkeypatch.setattr(Status, "code", 0)
    value = argument.partition("=")[2]
    config = OmegaConf.create({"seed": 0, "generator": {"urls": ["http://a", value]}})
    for start in (secrets.SecretsCallback().on_run_start, secrets.SecretsCallback().on_multirun_start):
        with pytest.raises(SystemExit, match="1"):
            start(config)
    told = capsys.readouterr()
    assert "generator.urls.1 has a password" in told.err
    assert "7word" not in told.out + told.err


def test_a_configuration_without_secrets_passes():
    secrets.SecretsCallback().on_run_start(OmegaConf.create({"generator": {"url": "${oc.env:URL}", "window": 1}}))


@pytest.mark.parametrize("piece", ["_", "-_", "://a:b", "://", "?token", "api_key", "a.b_", "@", "sk-", "hf_", "?a&"])
def test_time_is_linear_in_the_length_of_a_text(piece):
    began = time.monotonic()
    secrets.hidden(piece * (100_000 // len(piece)))
    assert time.monotonic() - began < 5
