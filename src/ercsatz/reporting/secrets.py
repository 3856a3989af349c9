"""Passwords and keys, which must not go on record: found in what a user gives, and hidden in what is told.

Hydra writes the command line and the composed configuration into files before any of our code runs, so a secret in
one of them is refused before that.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz.errors import UserError
from ercsatz.reporting.status import report

HIDDEN = "***"
_VARIABLES = ("OPENAI_API_KEY", "HF_TOKEN", "WANDB_API_KEY")
_SHORTEST = 8  # characters of a key that is looked for; what is shorter, or a word, may stand anywhere

_NAMES = r"(?:[\w-]*[_-])?(?:api_?key|passw(?:or)?d|access_token|auth_token|bearer_token|hf_token|secret_key)"
# Each has a group for what is kept before the secret, and is the secret from there on. Time is linear in the text's
# length: a server may have written it.
_SECRETS = (
    # http://user:password@host; also with a slash in the password, unless what is before it is a port
    re.compile(r"(://)(?:[^\s/?#@'\"]+|[^\s/?#@'\":]*:(?!\d+/)[^\s@'\"]{1,300})(?=@)"),
    # http://host/?token=...
    re.compile(
        r"([?&;#](?:[\w.-]*[_.-])?(?:api_?key|key|token|secret|passw(?:or)?d|pwd|sig|signature|credential|auth)=)"
        r"[^\s&#'\"\],}]+",
        re.IGNORECASE,
    ),
    # api_key=..., also as YAML; a reference to the environment is none
    re.compile(
        rf"((?<![\w-]){_NAMES}['\"]?\s*[:=]\s*['\"]?)(?!\$\{{|null\b|None\b|\?\?\?)[^\s'\",}}\]]+",
        re.IGNORECASE,
    ),
    # Keys by their look: OpenAI's, Hugging Face's, GitHub's
    re.compile(r"(?<![A-Za-z0-9])()(?:sk-[\w-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_\w{30,})"),
)


def keys() -> list[str]:
    """The keys that the environment holds."""
    found = (os.environ.get(name, "").strip() for name in _VARIABLES)
    return [key for key in found if len(key) >= _SHORTEST and not key.isalpha()]


def hidden(text: str) -> str:
    """A text with ``***`` in the place of passwords and keys, those of the environment among them.

    Example:
        >>> hidden("http://me:secret@host:80/?api_key=abc")
        'http://***@host:80/?api_key=***'
    """
    for secret in _SECRETS:
        text = secret.sub(rf"\g<1>{HIDDEN}", text)
    for key in keys():
        text = text.replace(key, HIDDEN)
    return text


def refuse(arguments: Iterable[str]) -> None:
    """Refuse a command line with a password or key in it, before it is written anywhere.

    Raises:
        UserError: names the key, not the secret.
    """
    for argument in arguments:
        key = argument.partition("=")[0].lstrip("+~") if "=" in argument else ""
        if hidden(argument) != argument:
            raise _refusal(key if hidden(key) == key else "")


class SecretsCallback(Callback):
    """Ends the program before Hydra writes a composed configuration with a password or key in it.

    The command line was looked at before; what is left are YAMLs of the user's own. Hydra swallows exceptions of a
    callback, but not that the program ends.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Before a single run."""
        _check(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Before a sweep."""
        _check(config)


def _check(config: DictConfig) -> None:
    for key, value in _leaves(OmegaConf.to_container(config, resolve=False)):
        line = f"{key}={value}"
        if hidden(line) != line:
            error = _refusal(key)
            report(error)
            raise SystemExit(1) from error


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, object]]:
    """Every value that is no mapping or list, with its whole key."""
    inner: Sequence[tuple[object, Any]]
    if isinstance(node, dict):
        inner = list(node.items())
    elif isinstance(node, list):
        inner = list(enumerate(node))
    else:
        yield key, node
        return
    for name, value in inner:
        yield from _leaves(value, f"{key}.{name}" if key else str(name))


def _refusal(key: str) -> UserError:
    return UserError(
        f"{key or 'The command line'} has a password or key in it, which would go on record in files. Leave it out: "
        "servers get theirs from the environment, OPENAI_API_KEY with generator=openai and HF_TOKEN with "
        "generator=tgi, as bearer token."
    )
