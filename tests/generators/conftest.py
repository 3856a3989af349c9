import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SERVERS = Path(__file__).resolve().parents[1] / "servers"


@pytest.fixture(scope="session")
def tgi_stand_in() -> ModuleType:
    """The module of the TGI stand-in; ``tgi_stand_in.TgiServer`` is the server."""
    specification = importlib.util.spec_from_file_location("tgi_stand_in", SERVERS / "tgi.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module
