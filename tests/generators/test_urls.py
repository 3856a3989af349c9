import pytest
from omegaconf import OmegaConf

from ercsatz.errors import UserError
from ercsatz.generators.urls import urls


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("http://gpu:8080", ("http://gpu:8080",)),
        ("http://gpu:8080/", ("http://gpu:8080",)),
        ("http://GPU:8080/generate/", ("http://gpu:8080",)),
        ("https://host/models/generate", ("https://host/models",)),
        ("http://host:8000/v1/", ("http://host:8000/v1",)),
        ("http://[::1]:8080", ("http://[::1]:8080",)),
        (["http://b:1", "http://a:1"], ("http://b:1", "http://a:1")),
        (OmegaConf.create(["http://a:1"]), ("http://a:1",)),
    ],
)
def test_servers_are_named_in_order_without_what_follows(value, found):
    assert urls(value) == found


@pytest.mark.parametrize(
    "value",
    [
        "gpu:8080",
        "localhost",
        "http://",
        "http://gpu:port",
        "http://gpu:99999",
        "http://gpu:0",
        "ftp://gpu:8080",
        "http://[::1:8080",
        "http://a:1 http://b:1",
        "http://a:1?x=1",
        "http://me:secret@a:1",
        "???",
        "",
        None,
        8080,
        ["http://a:1", ["http://b:1"]],
        {"a": "http://a:1"},
    ],
)
def test_what_is_no_address_is_refused(value):
    with pytest.raises(UserError, match=r"^generator\.url: .* is no server's address; give http://HOST:PORT"):
        urls(value)


def test_no_server_at_all_is_refused():
    with pytest.raises(UserError, match=r"generator\.url=\[\]: there is no server"):
        urls([])


@pytest.mark.parametrize("twin", ["http://a:1/", "http://A:1", "http://a:1/generate"])
def test_server_named_twice_is_refused(twin):
    with pytest.raises(UserError, match=r"generator\.url: http://a:1 occurs twice"):
        urls(["http://a:1", "http://b:1", twin])
