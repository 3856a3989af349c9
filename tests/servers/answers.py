"""What stand-in servers answer: dialogues of random words, by the request's seed."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Answerer = Callable[[str, Mapping[str, Any]], str]  # from inputs and parameters, ``seed`` among them, to the text

WORDS = re.findall(
    r"\w+",
    "about after again all always and anything because before bring but call come could day did dinner door even ever "
    "feel find first friend from get give go good had happy have hear help here home hope house how idea if it just "
    "keep know last late let like little long look love made make maybe me mean money more morning mother must my "
    "need never new next night no not nothing now of oh old on one only our out over party people phone please really",
)


def dialogue(speakers: Sequence[str] = ("Maya", "Tomas", "Priya"), n_labels: int = 7, flaws: float = 0.04) -> Answerer:
    """Answers of lines ``Maya: words. (number)``, or of prose where the prompt asks for that.

    The speakers are those of ``speakers`` whom the prompt names (all, if it names none). The number of lines and the
    number of a wanted emotion are looked up in the prompt. ``flaws`` is the share of answers that do not parse.
    Under a grammar the speakers are Alex and Blair, and nothing is flawed.
    """

    def answer(inputs: str, parameters: Mapping[str, Any]) -> str:
        rng = random.Random(f"{parameters['seed']} {inputs}")

        def words() -> str:
            return " ".join(rng.choices(WORDS, k=rng.randint(4, 14))).capitalize() + "."

        if "plain prose" in inputs:
            return words()
        if "Situation: ..." in inputs:
            return f"Situation: {words()}" + (f"\nRelation: {words()}" if "Relation: ..." in inputs else "")
        guided = parameters.get("grammar") is not None
        voices = ["Alex", "Blair"] if guided else [name for name in speakers if re.search(rf"\b{name}\b", inputs)]
        asked, wanted = re.search(r"about (\d+) utterances", inputs), re.search(r'emotion "(\w+)"', inputs)
        number = re.search(rf"(\d+) for {wanted[1]}\b", inputs) if wanted else None
        n_turns = 1 if "a single line" in inputs else int(asked[1]) if asked else rng.randint(5, 10)
        labels = [str(rng.randint(1, n_labels)) for _ in range(n_turns)]
        if number:
            labels[rng.randrange(n_turns)] = number[1]
        voices = voices or list(speakers)
        lines = [f"{voices[turn % len(voices)]}: {words()} ({label})" for turn, label in enumerate(labels)]
        if not guided and rng.random() < flaws:
            place = rng.randrange(n_turns)
            lines[place] = rng.choice([lines[place][: -len(" (1)")], lines[place][:-2] + "9)"])
        return "\n".join(lines)

    return answer
