"""Prompt folders of somebody else: templates reach nothing but their variables, and end."""

import os
import re
import time
from pathlib import Path

import psutil
import pytest

from ercsatz.errors import UserError
from ercsatz.generation.personas import Persona
from ercsatz.llm import sandbox
from ercsatz.llm.prompt import Templates
from ercsatz.resources import resource

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a * b %}{% endfor %}{% endfor %}"
DOUBLED = "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}"
HARM = {
    "class": ("{{ ''.__class__.__mro__ }}", "SecurityError"),
    "subclasses": ("{{ ().__class__.__base__.__subclasses__() }}", "SecurityError"),
    "attr": ("{{ ''|attr('__class__')|attr('__mro__') }}", "Error"),
    "format": ("{{ '{0.__class__.__mro__}'.format(target) }}", "SecurityError"),
    "globals": ("{{ cycler.__init__.__globals__.os.system('touch harmed') }}", "SecurityError"),
    "self": ("{{ self.__init__.__globals__ }}", "Error"),
    "import": ("{% import 'os' as os %}{{ os.system }}", "TemplateNotFound"),
    "changed": ("{{ labels.append('x') }}", "SecurityError"),
    "method": ("{{ persona.__init__('x') }}", "SecurityError"),
    "range": ("{% for i in range(10**9) %}{% endfor %}", "OverflowError"),
    "loops": (LOOPS, "does not end within 2 seconds"),
    "recursion": ("{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}", "RecursionError|does not end"),
    "includes": ("{% include 'mine/task.j2' %}{% include 'mine/task.j2' %}", "RecursionError|does not end"),
    "repeated": ("{{ 'a' * 10**11 }}", "more than 1024 MiB"),
    "power": ("{{ 9**(9**9) }}", "does not end within 2 seconds|MiB"),
    "doubled": (DOUBLED, "more than 1024 MiB|does not end"),
    "padded": ("{{ 'a'|center(10**11) }}", "more than 1024 MiB|OverflowError"),
    "indented": ("{{ 'a\nb'|indent(10**11, true) }}", "more than 1024 MiB|OverflowError"),
    "percent": ("{{ '%99999999999d' % 1 }}", "more than 1024 MiB|Error"),
    "ipsum": ("{{ lipsum(n=10**7) }}", "does not end within 2 seconds|MiB"),
    "long": ("{{ 'a' * 2**21 }}", "more than 1,048,576 characters"),
    "up": ("{% include '../secret.j2' %}", "TemplateNotFound"),
    "absolute": ("{% include '/etc/passwd' %}", "TemplateNotFound"),
    "no template": ("{% include 'mine/secret.txt' %}", "only a file NAME.j2"),
    "beside": ("{% include 'beside/link.j2' %}", "only a file NAME.j2"),
    "deep": ("{{ " + "(" * 100_000 + " }}", "Error"),
    "unknown": ("{{ nobody }}", "UndefinedError: 'nobody' is undefined"),
    "own exit": ("{{ raise_system_exit() }}", "UndefinedError"),
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of prompts with a secret beside it."""
    monkeypatch.setattr(sandbox, "SECONDS", 2.0)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "prompts" / "mine"
    folder.mkdir(parents=True)
    (folder / "secret.txt").write_text("hush")
    (tmp_path / "secret.j2").write_text("hush")
    (tmp_path / "prompts" / "beside").mkdir()
    (tmp_path / "prompts" / "beside" / "link.j2").symlink_to(tmp_path / "secret.j2")
    (folder / "good.j2").write_text("{{ target }} {{ persona.age }} {{ labels|join('/') }}")
    return folder


def rendered(folder: Path, name: str) -> str:
    persona = Persona("Ann", age=30, gender="female", occupation="nurse", mbti="INFJ")
    return Templates(folder.name, folder.parent).sentence(name, target="joy", labels=["joy", "anger"], persona=persona)


@pytest.mark.parametrize(("template", "told"), HARM.values(), ids=HARM)
def test_a_template_does_no_harm(mine, template, told):
    (mine / "task.j2").write_text(template)
    started = time.monotonic()
    with pytest.raises(UserError, match=rf"task\.j2: .*(?:{told})") as refused:
        rendered(mine, "task")
    assert time.monotonic() - started < 60
    assert not re.search("hush|root:", str(refused.value))
    assert not Path("harmed").exists()
    assert rendered(mine, "good") == "joy 30 joy/anger"


def test_one_object_goes_on_after_a_template_that_does_not_end(mine):
    (mine / "task.j2").write_text(LOOPS)
    templates = Templates(mine.name, mine.parent)
    given = {"target": "joy", "labels": ["joy"], "persona": Persona("Ann", age=30)}
    assert templates.sentence("good", **given) == "joy 30 joy"
    with pytest.raises(UserError, match="does not end"):
        templates.sentence("task", **given)
    assert templates.sentence("good", **given) == "joy 30 joy"
    children = {each.pid for each in psutil.Process().children()}
    del templates
    assert {each.pid for each in psutil.Process().children()} < children


@pytest.mark.parametrize("name", ["task.j2", "inventory/ages.yaml", "inventory"])
@pytest.mark.parametrize("to", ["/dev/zero", "secret.j2", "/"])
def test_a_link_out_of_the_folder_is_refused(mine, name, to):
    link = mine / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(to if os.path.isabs(to) else mine.parents[1] / to)  # noqa: PTH117
    with pytest.raises(UserError, match=rf"{re.escape(str(link))}: a link that leads out"):
        Templates(mine.name, mine.parent)


def test_foreign_templates_may_use_the_shipped_ones(mine):
    (mine / "labels.j2").write_text('{% include "natural/labels.j2" %}')
    templates = Templates("mine", mine.parent, resource("prompts"))
    assert templates.sentence("labels", labels=["joy"]) == Templates("natural").sentence("labels", labels=["joy"])


def test_shipped_templates_are_rendered_here():
    before = set(psutil.Process().children())
    Templates("natural").sentence("labels", labels=["joy"])
    assert set(psutil.Process().children()) <= before  # one that was ending may be gone
