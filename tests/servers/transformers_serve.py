"""A real ``transformers serve`` on this machine, with a model of random weights that is made on the spot.

Needs transformers 5 with its extra ``serving``; neither network nor GPU. In a test::

    with serving(tiny_llama(folder)) as url:
        ...
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

STARTING = 120.0  # seconds; about 10 on an idle machine
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
_LINES = (
    "Maya: Well, I never thought you would come back tonight! (2)",
    "Tomas: Please do not be angry with me, I was afraid to call you. (7)",
    "Priya: Oh, what a lovely surprise, who is at the door? (3)",
    "user: Write a dialogue of about 12 utterances, with a number behind each utterance.",
)


def missing() -> str | None:
    """What keeps the server from being started here; ``None`` if nothing does."""
    if int(version("transformers").split(".")[0]) < 5:
        return "transformers serve has no plain completions before transformers 5"
    lacking = [name for name in ("accelerate", "fastapi", "uvicorn") if find_spec(name) is None]
    try:
        version("openai")
    except PackageNotFoundError:
        lacking.append("openai")
    return f'no {", ".join(lacking)}: pip install "transformers[serving]"' if lacking else None


def tiny_llama(folder: Path) -> Path:
    """Save a Llama of two layers with its tokenizer and chat template.

    Args:
        folder: made if need be.

    Returns:
        The same folder.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(_LINES, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        model_input_names=["input_ids", "attention_mask"],  # Llama takes no token_type_ids
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=2048,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    model.generation_config.do_sample = True  # else the server leaves temperature and seed aside
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server of the model in a folder; yields its URL, and kills it at the end.

    Args:
        folder: of a saved model with its tokenizer. The hub's cache and the server's log are put into it.

    Raises:
        RuntimeError: it does not get up.
    """
    cache, log = folder / "hub", folder / "server.log"
    cache.mkdir(exist_ok=True)  # where it is missing, the list of models is an error
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    command += ["--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(server, f"{url}/health", log)
        yield f"{url}/v1"
    finally:
        server.kill()
        server.wait()


def _wait(server: subprocess.Popen[bytes], page: str, log: Path) -> None:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(page, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"transformers serve does not get up:\n{log.read_text(errors='replace')[-2000:]}")
