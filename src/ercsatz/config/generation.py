"""Writing synthetic data sets."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import Benchmark, Data, Paths
from ercsatz.config.mode import ModeConfig


class OnUnsupported(StrEnum):
    """What happens to a sampling parameter that a generator does not honour: an error, or a record of the omission."""

    error = "error"
    record = "record"


class ChatTemplate(StrEnum):
    """What a prompt is wrapped in: nothing, the model's own chat template, or Vicuna's."""

    raw = "raw"
    model = "model"
    vicuna = "vicuna"


class Flavour(StrEnum):
    """Which server speaks the OpenAI protocol; each takes other extra fields."""

    openai = "openai"
    vllm = "vllm"
    webui = "webui"
    llamacpp = "llamacpp"
    transformers = "transformers"


class PersonaStep(StrEnum):
    """Where a step of a persona comes from: the inventories, the language model, or nowhere."""

    sample = "sample"
    write = "write"
    off = "off"


class PersonaUnit(StrEnum):
    """What a persona request asks for: a dialogue, or a single text of a single speaker (PersonaGen's own unit)."""

    dialogue = "dialogue"
    text = "text"


@dataclass
class Sampling:
    """Sampling parameters; the defaults are Table II of Kaplan, Carneiro and Wermter (2025).

    ``max_new_tokens`` is not in the table. Neutral values (``top_p``, ``typical_p`` and ``repetition_penalty`` 1,
    ``top_k`` 0) are left out where a server then does nothing, and sent where it would do something of its own.
    """

    temperature: float = MISSING
    top_p: float = MISSING
    top_k: int = MISSING
    repetition_penalty: float = MISSING
    typical_p: float = MISSING
    max_new_tokens: int = MISSING


@dataclass
class Generator:
    """What writes synthetic dialogues; ``window`` requests are in flight at a time, on each server."""

    name: str = MISSING
    window: int = MISSING


@dataclass
class LanguageModel(Generator):
    """What all language models have; ``guided`` lets one fixed grammar hold for every dialogue."""

    sampling: Sampling = field(default_factory=Sampling)
    on_unsupported: OnUnsupported = OnUnsupported.error
    chat_template: ChatTemplate = MISSING
    guided: bool = False


@dataclass
class Served(LanguageModel):
    """A model behind one URL or a list of them.

    ``timeout`` (seconds) is for one answer, ``tries`` how often a request may fail before it is given up,
    ``patience`` (seconds) how long all servers may be down before the run stops.
    """

    url: Any = MISSING
    timeout: float = MISSING
    tries: int = MISSING
    patience: float = MISSING


@dataclass
class Tgi(Served):
    """Hugging Face TGI; ``tokenizer`` (name or folder) renders the model's chat template, null: the served model's."""

    tokenizer: str | None = None


@dataclass
class OpenAI(Served):
    """An OpenAI-compatible server; ``model`` null takes the only one it serves."""

    flavour: Flavour = MISSING
    model: str | None = None


@dataclass
class Transformers(LanguageModel):
    """A model in this process; ``batch_size`` requests are answered at a time."""

    model: str = MISSING
    device: str = MISSING
    dtype: str = MISSING
    batch_size: int = MISSING


@dataclass
class Plan:
    """How much is asked for, and dialogues of what length in turns.

    One of ``n_dialogues`` (asked for), ``n_kept`` (dialogues kept) and ``n_utterances`` (in kept dialogues) is given.
    ``attempts`` is how often a dialogue is asked for, each time with another seed, before it is given up.
    """

    n_dialogues: int | None = None
    n_kept: int | None = None
    n_utterances: int | None = None
    min_turns: int = MISSING
    max_turns: int = MISSING
    attempts: int = MISSING


@dataclass
class Persona:
    """Where the steps of a persona come from, in modes with personas. ``base`` cannot be written by the model."""

    unit: PersonaUnit = PersonaUnit.dialogue
    base: PersonaStep = MISSING
    background: PersonaStep = MISSING
    situation: PersonaStep = MISSING


@dataclass
class Leakage:
    """When a generated dialogue counts as taken from the real validation and test sets.

    ``words``: an utterance of at least so many words occurs there, case and punctuation aside; ``ngram`` and
    ``containment``: so great a share of the dialogue's word n-grams occurs there; ``dialogue``: so great a share of a
    real dialogue's utterances occurs in it.
    """

    words: int = MISSING
    ngram: int = MISSING
    containment: float = MISSING
    dialogue: float = MISSING


@dataclass
class Checks:
    """``near_duplicate``: Jaccard similarity of word 3-grams from which a later dialogue is left out."""

    near_duplicate: float = MISSING
    leakage: Leakage = field(default_factory=Leakage)


@dataclass
class Split:
    """Shares of the kept dialogues that become validation and test set; the rest is for training."""

    validation: float = MISSING
    test: float = MISSING


@dataclass
class GenerateConfig:
    """What ``generate.py`` reads."""

    paths: Paths = field(default_factory=Paths)
    benchmark: Benchmark = field(default_factory=Benchmark)
    data: Data = field(default_factory=Data)
    mode: ModeConfig | None = None
    generator: Generator = field(default_factory=Generator)
    plan: Plan = field(default_factory=Plan)
    persona: Persona = field(default_factory=Persona)
    checks: Checks = field(default_factory=Checks)
    split: Split = field(default_factory=Split)
    seed: int = MISSING
    prompts: str | None = None
    journal: str = MISSING
    dry_run: bool = MISSING
    overwrite: bool = MISSING
    push_to_hub: str | None = None
