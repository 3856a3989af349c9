"""Modules of an extra that is not installed are not searched for doctests."""

from importlib.util import find_spec

collect_ignore = []
if find_spec("text_generation") is None:
    collect_ignore += ["src/ercsatz/generators/tgi.py", "src/ercsatz/generators/tgi_client.py"]
