"""What writes synthetic dialogues: one file a generator, one small interface, one table of what each can do."""

from ercsatz import config
from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator, Profile

PROFILES: dict[str, Profile] = {
    "offline": Profile(
        honours=frozenset(),
        licence="apache-2.0",
        rights="The text is put together from phrases that ercsatz ships under the Apache License 2.0.",
        limits=(
            "No language model was asked: a seeded grammar puts the dialogues together from a fixed stock of phrases. "
            "It is for demos and tests, and the control that a language model has to beat.",
            "The labels are those that the grammar meant, not anyone's judgement, and the vocabulary is small.",
        ),
    ),
}


def build(generator: config.Generator) -> Generator:
    """The generator that the configuration names.

    Raises:
        UserError: no generator has that name.
    """
    match generator.name:
        case "offline":
            from ercsatz.generators.offline import OfflineGenerator

            return OfflineGenerator()
        case unknown:
            raise UserError(f"There is no generator {unknown!r}. Choose with generator={' or '.join(PROFILES)}.")
