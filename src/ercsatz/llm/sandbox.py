"""Templates of somebody else, rendered in a process of its own, of bounded time and memory.

Jinja's sandbox keeps a template from Python; nothing in it keeps a loop from running for ever or a text from growing.
"""

import json
import pickle
import resource
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 10.0  # for one template
MEMORY = 1 << 30  # bytes of address space of the process
LONGEST = 1 << 20  # characters of a prompt
_START = 60.0  # seconds until the process is there, on a busy machine

_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from ercsatz.llm.sandbox import serve; serve()"


def environment(places: Sequence[Path]) -> Environment:
    """What shipped and foreign templates are read and rendered with."""
    return ImmutableSandboxedEnvironment(loader=_Templates(places), undefined=StrictUndefined, autoescape=False)


class _Templates(FileSystemLoader):
    """Files of some folders by the name ``FOLDER/NAME.j2``, and none that a link brings in from elsewhere."""

    def get_source(self, environment: Environment, template: str) -> Any:
        """As Jinja's own.

        Raises:
            TemplateNotFound: also of what is no template, or lies outside.
        """
        found = super().get_source(environment, template)
        if not template.endswith(".j2") or not any(inside(Path(found[1]), Path(place)) for place in self.searchpath):
            raise TemplateNotFound(template, f"{template}: only a file NAME.j2 in the folder of prompts can be used")
        return found


def inside(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, its links followed."""
    return file.resolve().is_relative_to(folder.resolve())


class RenderError(Exception):
    """What a template did, in words."""


class Renderer:
    """Renders templates of some folders; the process starts with the first and ends with this object.

    Args:
        places: the folders, in which a template is looked for in this order.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = list(map(str, places))
        self._lock = threading.Lock()
        self._process: tuple[subprocess.Popen[bytes], Connection[Any, Any], weakref.finalize[Any, Any]] | None = None

    def render(self, name: str, variables: Mapping[str, Any]) -> str:
        """A rendered template.

        Raises:
            RenderError: it is missing, damaged, uses an unknown variable, or does not end in time and memory.
        """
        with self._lock:
            process, pipe, end = self._process or self._start()
            try:
                pipe.send_bytes(pickle.dumps((name, dict(variables))))
                if not pipe.poll(SECONDS):
                    raise RenderError(f"it does not end within {SECONDS:.0f} seconds")
                answer = json.loads(pipe.recv_bytes(8 * LONGEST))
            except (OSError, EOFError):
                raise RenderError(f"it needs more than {MEMORY >> 20} MiB of memory") from None
            finally:  # a process that has not answered is of no more use
                if process.poll() is not None or sys.exc_info()[0] is not None:
                    end()
                    self._process = None
        if "error" in answer:
            raise RenderError(answer["error"])
        return str(answer["text"])

    def _start(self) -> tuple[subprocess.Popen[bytes], "Connection[Any, Any]", "weakref.finalize[Any, Any]"]:
        ours, theirs = Pipe()
        arguments = [json.dumps(sys.path), json.dumps(self._places), str(theirs.fileno())]
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )
        theirs.close()
        end = weakref.finalize(self, _end, process, ours)
        if not ours.poll(_START) or ours.recv_bytes() != b"ready":
            end()
            raise RenderError("no process could be started for it")
        self._process = process, ours, end
        return self._process


def _end(process: "subprocess.Popen[bytes]", pipe: "Connection[Any, Any]") -> None:
    pipe.close()
    process.kill()
    process.wait()


def serve() -> None:
    """What the process does: render what it is sent, until there is nobody any more."""
    places, pipe = json.loads(sys.argv[2]), Connection(int(sys.argv[3]))

    templates = environment([Path(place) for place in places])
    pipe.send_bytes(b"ready")
    while True:
        try:
            name, variables = pickle.loads(pipe.recv_bytes())  # from ourselves
        except EOFError:
            return
        with suppress(ValueError):  # of systems that know no such limit
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # now that what variables are has been imported
        pipe.send_bytes(json.dumps(_answer(templates, name, variables)).encode())


def _answer(templates: Environment, name: str, variables: Mapping[str, Any]) -> dict[str, str]:
    try:
        text = templates.get_template(name).render(**variables)
    except MemoryError:
        return {"error": f"it needs more than {MEMORY >> 20} MiB of memory"}
    except Exception as error:  # a template can do what it likes
        return {"error": f"{type(error).__name__}: {error}"[:LONGEST]}
    return {"text": text} if len(text) <= LONGEST else {"error": f"it gives more than {LONGEST:,} characters"}
