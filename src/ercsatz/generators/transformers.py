"""``generator=transformers``: a language model in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from ercsatz.config import Profile
from ercsatz.config.rules import Rule, at_least_1
from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator
from ercsatz.generators.language_model import TABLE_2, LanguageModelConfig, profile


@dataclass
class TransformersConfig(LanguageModelConfig):
    """A model in this process.

    Attributes:
        model: a hub name or a folder.
        device: auto (cuda where there is one), cpu, cuda, cuda:1 or mps.
        dtype: auto (bfloat16 on cuda, float32 elsewhere), float32, bfloat16 or float16.
        batch_size: requests that are answered at a time.
    """

    model: str = MISSING
    device: str = MISSING
    dtype: str = MISSING
    batch_size: int = MISSING

    @property
    def profile(self) -> Profile:
        """All of Table II, and no grammar."""
        return profile(TABLE_2)

    def problems(self) -> Iterator[Rule]:
        """What must hold of the options."""
        yield from super().problems()
        yield at_least_1("generator.batch_size", self.batch_size)

    def build(self, grammar: str | None = None) -> Generator:
        """The model; it is loaded when it is first asked.

        Raises:
            UserError: a grammar is asked for, there is no such device or number type, or a parameter is not honoured.
        """
        if self.guided:
            raise UserError("generator=transformers knows no grammar; choose generator.guided=false, or tgi or openai.")
        from ercsatz.generators.transformers_model import device_and_dtype, dtype_name, load
        from ercsatz.generators.transformers_server import LocalServer

        sent, dropped = self.negotiate("transformers")
        device, dtype = device_and_dtype(self.device, self.dtype)
        server = LocalServer(lambda: load(self.model, device, dtype, self.chat_template), sent, self.batch_size)
        settings = {
            "sampling": sent,
            "dropped": dropped,
            "chat_template": self.chat_template.value,
            "dtype": dtype_name(dtype),
            "model": Path(self.model).name if Path(self.model).is_dir() else self.model,
        }
        return Generator("transformers", self.profile, settings, (server,), sent, dropped, self.window)
