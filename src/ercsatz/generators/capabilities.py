"""Which sampling parameters each generator honours, and what is sent of those asked for."""

from collections.abc import Mapping
from dataclasses import asdict

from ercsatz.config import Flavour, OnUnsupported, Sampling
from ercsatz.errors import UserError
from ercsatz.generators.interface import Profile

# Values at which a parameter does nothing. They are left out: TGI even refuses top_p=1 and typical_p=1.
NEUTRAL: Mapping[str, float] = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0, "typical_p": 1.0}

_TABLE_2 = frozenset({"temperature", "top_p", "top_k", "repetition_penalty", "typical_p", "max_new_tokens"})


def _model(honours: frozenset[str], guided: bool = False) -> Profile:
    return Profile(
        honours=honours | {"seed"},
        guided=guided,
        licence="other",
        rights="A language model wrote the text; the licence of the model says who may use it and how.",
        limits=(
            "A language model wrote text and labels; no person has checked them. It may repeat what it was trained on, "
            "scripts of TV series among it.",
        ),
    )


OFFLINE = Profile(
    honours=frozenset({"seed"}),
    licence="apache-2.0",
    rights="The text is put together from phrases that ercsatz ships under the Apache License 2.0.",
    limits=(
        "No language model was asked: a seeded grammar puts the dialogues together from a fixed stock of phrases. "
        "It is for demos and tests, and the control that a language model has to beat.",
        "The labels are those that the grammar meant, not anyone's judgement, and the vocabulary is small.",
        "The grammar reads neither personas nor situations: in persona mode they stand beside the dialogues only.",
    ),
)
TGI = _model(_TABLE_2, guided=True)
TRANSFORMERS = _model(_TABLE_2)
# vLLM and llama.cpp's Python server take typical_p and ignore it without a word; OpenAI's own knows no top_k either.
OPENAI: Mapping[Flavour, Profile] = {
    Flavour.openai: _model(frozenset({"temperature", "top_p", "max_new_tokens"})),
    Flavour.vllm: _model(_TABLE_2 - {"typical_p"}, guided=True),
    Flavour.webui: _model(_TABLE_2),
    Flavour.llamacpp: _model(_TABLE_2 - {"typical_p"}),
    Flavour.transformers: _model(_TABLE_2),
}


def negotiate(
    sampling: Sampling, profile: Profile, what: str, on_unsupported: OnUnsupported
) -> tuple[dict[str, float | int], dict[str, float | int]]:
    """Divide the sampling parameters into those to send and those that are not honoured; neutral ones are in neither.

    Args:
        sampling: what is asked for.
        profile: of the generator.
        what: the generator, for the message.
        on_unsupported: whether a parameter that is not honoured stops the run or is recorded.

    Returns:
        What is sent and what is dropped, by the names of ``config.Sampling``.

    Raises:
        UserError: a parameter is not honoured and ``on_unsupported`` is ``error``; or a value makes no sense.
    """
    _check_values(sampling)
    wanted = {name: value for name, value in asdict(sampling).items() if value != NEUTRAL.get(name)}
    dropped = {name: value for name, value in wanted.items() if name not in profile.honours}
    if dropped and on_unsupported is OnUnsupported.error:
        name, value = next(iter(dropped.items()))
        neutral = f"leave it out with generator.sampling.{name}={NEUTRAL[name]:g}, or " if name in NEUTRAL else ""
        raise UserError(
            f"{what} does not honour generator.sampling.{name}={value:g}: it would be ignored without a word. "
            f"Either {neutral}go on without it and have that on record with generator.on_unsupported=record."
        )
    return {name: value for name, value in wanted.items() if name not in dropped}, dropped


def _check_values(sampling: Sampling) -> None:
    rules = {
        "temperature": (sampling.temperature > 0, "above 0; a seed needs sampling"),
        "top_p": (0 < sampling.top_p <= 1, "above 0 and at most 1"),
        "typical_p": (0 < sampling.typical_p <= 1, "above 0 and at most 1"),
        "top_k": (sampling.top_k >= 0, "0 (off) or more"),
        "repetition_penalty": (sampling.repetition_penalty > 0, "above 0"),
        "max_new_tokens": (sampling.max_new_tokens >= 1, "1 or more"),
    }
    for name, (holds, wanted) in rules.items():
        if not holds:
            raise UserError(f"generator.sampling.{name}={getattr(sampling, name):g}: must be {wanted}.")
