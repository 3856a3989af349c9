"""What writes synthetic dialogues: one file a generator, one small interface, one table of what each can do."""

from ercsatz import config
from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator


def build(generator: config.Generator, grammar: str | None = None) -> Generator:
    """The generator that the configuration names. Nothing is asked of a server yet.

    Args:
        generator: its configuration.
        grammar: a regular expression that every answer to a dialogue's request must match, for ``guided``.

    Raises:
        UserError: no generator has that name, its library is missing, or it does not honour what is asked for.
    """
    match generator:
        case config.Tgi():
            from ercsatz.generators import tgi

            return tgi.build(generator, grammar)
        case config.OpenAI():
            from ercsatz.generators import openai

            return openai.build(generator, grammar)
        case config.Transformers():
            from ercsatz.generators import transformers

            return transformers.build(generator)
        case config.Generator(name="offline"):
            from ercsatz.generators.offline import generator as offline

            return offline.build()
        case _:
            raise UserError(f"There is no generator {generator.name!r}: offline, tgi, openai or transformers.")
