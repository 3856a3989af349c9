import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")


@pytest.fixture(scope="module")
def url():
    """A server in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("tgi.py")), "--slots", "3", "--latency", "lognormal:0.001"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.kill()


def post(url, body, kind="application/json"):
    """Status, content type and text of the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.headers["Content-Type"], response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def ask(**parameters):
    return {"inputs": "Hi.", "parameters": parameters}


def test_root_gives_a_list_with_the_prompt_and_generate_an_object_without(url):
    body = ask(seed=1)
    (listed,) = json.loads(post(url, body)[2])
    alone = json.loads(post(url + "/generate", body)[2])
    assert listed == {"generated_text": "Hi." + alone["generated_text"]}
    (bare,) = json.loads(post(url, ask(seed=1, return_full_text=False))[2])
    assert bare == alone


def test_seed_decides(url):
    texts = [post(url + "/generate", ask(seed=seed))[2] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert post(url + "/generate", ask())[2] != post(url + "/generate", ask())[2]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 1.0}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"temperature": 0}, "`temperature` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences"),
    ],
)
def test_values_out_of_range_are_invalid(url, parameters, words):
    status, kind, text = post(url, ask(**parameters))
    assert (status, kind) == (422, "application/json")
    assert json.loads(text) == {"error": f"Input validation error: {words}", "error_type": "validation"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (ask(top_k="many"), "application/json", 422),
        (ask(do_sample=None), "application/json", 422),
        (ask(seed=-1), "application/json", 422),
        ({"parameters": {}}, "application/json", 422),
        (b"{", "application/json", 400),
        (ask(), "text/plain", 415),
    ],
)
def test_bodies_of_the_wrong_shape_get_plain_text(url, body, kind, status):
    answer = post(url, body, kind)
    assert (answer[0], answer[1]) == (status, "text/plain; charset=utf-8")


def test_optional_parameters_may_be_null(url):
    assert post(url, ask(top_p=None, seed=None, grammar=None))[0] == 200


def test_counts_are_kept(url):
    post(url + "/test/reset", b"")
    post(url, ask(seed=5))
    post(url, ask(seed=5))
    post(url, ask(top_p=1))
    with urllib.request.urlopen(url + "/test/stats") as response:
        stats = json.load(response)
    assert stats["statuses"] == {"200": 2, "422": 1}
    assert (stats["answered"], stats["distinct"], list(stats["repeated"].values())) == (2, 1, [2])
    assert 0 < stats["busy_slot_seconds"] <= stats["seconds"]
