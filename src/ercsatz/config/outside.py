"""What a YAML of a config folder that is not the shipped one may say.

A folder that a user names is code, as a Python file is, but one YAML in it may have been taken from somebody else. So
only the registry's groups may name code, nothing but the command line changes Hydra, and a benchmark, a mode and the
like speak for themselves alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import file_config_source
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource

from ercsatz.config.registry import NO_OPTIONS, installed_folders
from ercsatz.config.yaml_files import load_yaml
from ercsatz.errors import UserError
from ercsatz.resources import resource

CODE = frozenset({"classifier", "backbone", "loss", "sampler", "generator", "logger", "callbacks", "measure"})
"""Config groups whose YAMLs may name code: those that the registry makes parts of."""

_Names = list[str]
_HYDRA = ("hydra/launcher", "hydra/sweeper")  # of which a folder may hold settings, for the command line to choose
_DATA = {"": "", "benchmark": "_global_.benchmark", "mode": "_global_.mode"}  # what data/NAME.yaml is composed of

# Resolvers read the environment, among other things; a group that is code or says where things lie may use them.
_KEY = re.compile(r"\$\{(ercsatz_package:|[\w.\[\]-]*)\}")
_INTERPOLATION = re.compile(r"(?<!\\)(\\\\)*\$\{")

# What a terminal would obey; a line break and a tab are text.
_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NAME = re.compile(r"[\w. -]*")


class RefusedYamlError(UserError, CompactHydraException):
    """Hydra prints it as it stands."""


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's folders of YAMLs; what is not shipped or installed is looked at before it is used.

    It has the name of Hydra's own, by which a worker process, that registers Hydra's again, knows that one is there.
    """

    def is_config(self, config_path: str) -> bool:
        """As Hydra's own, without what somebody else reads."""
        return config_path.removesuffix(".yaml") not in NO_OPTIONS and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> _Names:
        """As Hydra's own, for ``--help``, without what somebody else reads."""
        found = super().list(config_path, results_filter)
        return [name for name in found if f"{config_path}/{name}" not in NO_OPTIONS]

    def load_config(self, config_path: str) -> ConfigResult:
        """As Hydra's own.

        Raises:
            RefusedYamlError: the YAML says what it must not; the message names it.
        """
        trusted = (resource("conf"), *installed_folders())
        if Path(self.path).absolute() not in trusted:
            try:
                check(Path(self.path), config_path)
            except UserError as error:
                raise RefusedYamlError(str(error)) from None
        return super().load_config(config_path)


def check(folder: Path, config_path: str) -> None:
    """Look at a YAML before anything is made of it.

    Args:
        folder: the config folder.
        config_path: the file in it, with or without its suffix, such as ``benchmark/mine``.

    Raises:
        UserError: says what it must not say, and where that belongs.
    """
    file = folder / f"{config_path.removesuffix('.yaml')}.yaml"
    if ".." in Path(config_path).parts:
        raise UserError(f"{file}: outside of the config folder {folder}. Name it by its group: GROUP=NAME.")
    group = config_path.rpartition("/")[0]
    if group == "recipe/released" and re.match("(null|none)?_", file.stem, re.IGNORECASE):
        raise UserError(f"{file}: would count where no recipe was chosen. Give it another name.")
    content = load_yaml(file)
    _check_text(content, file)
    with file.open(encoding="utf-8") as stream:
        package = ConfigSource._get_header_dict(stream.read(512)).get("package")
    _check_hydra(content, group, package, file)
    for entry in content.get("defaults") or () if isinstance(content, dict) else ():
        _check_default(entry, group, file)
    top = group.partition("/")[0]
    if top not in CODE:
        _check_names_no_code(content, group, file)
        if top not in ("paths", "hydra"):
            _check_interpolations(content, file)
    if top in _own_groups() and package not in (None, "_group_", group.replace("/", ".")):
        raise UserError(f"{file}: # @package {package}: a YAML of {top}/ speaks for {top} alone. Remove the line.")
    if isinstance(content, dict):
        _check_places(content, top, file)


def _own_groups() -> set[str]:
    """Shipped groups that say nothing beyond themselves."""
    shipped = {folder.name for folder in resource("conf").iterdir() if folder.is_dir()}
    return ({"data"} | shipped) - CODE - {"recipe", "hydra", "experiment"}


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, and every value of a list under no key."""
    for key, inner in value.items() if isinstance(value, dict) else [("", each) for each in value]:
        yield str(key), inner
        if isinstance(inner, dict | list):
            yield from _walk(inner)


def _check_text(content: Any, file: Path) -> None:
    for key, value in _walk(content) if isinstance(content, dict | list) else ():
        for text in (key, value):
            if isinstance(text, str) and (found := _ACTIVE.search(text)):
                raise UserError(f"{file}: {text!r} has the control character U+{ord(found[0]):04X}. Remove it.")


def _check_hydra(content: Any, group: str, package: str | None, file: Path) -> None:
    says = "Only the command line changes Hydra: leave it out here, and give hydra.KEY=VALUE or hydra/launcher=NAME."
    if isinstance(content, dict) and any(str(key).partition(".")[0] == "hydra" for key in content):
        raise UserError(f"{file}: the key hydra. {says}")
    if "hydra" in re.split("[./]", package or ""):
        raise UserError(f"{file}: # @package {package}. {says}")
    if group.partition("/")[0] == "hydra" and group not in _HYDRA:
        raise UserError(f"{file}: a YAML of {group}/. {says}")
    if group not in _HYDRA:
        return
    Plugins.instance()  # which bring YAMLs of their own
    if file.name in ConfigStore.instance().list(group):
        raise UserError(
            f"{file}: Hydra would take it for its own {file.stem}, which nobody chose. Give it another name."
        )


def _check_default(entry: Any, group: str, file: Path) -> None:
    """One entry of a defaults list."""
    pairs = entry.items() if isinstance(entry, Mapping) else [(entry, None)]
    for key, value in pairs:
        words = str(key).split()
        name, _, package = words[-1].partition("@") if words else ("", "", "")
        chosen = value if isinstance(value, list) else [value]
        where = f"{file}: defaults: {key}"
        if "${" in str(key) or ".." in str(key) or any(".." in str(each) for each in chosen):
            raise UserError(f"{where}: name a YAML of the config folder as it is, without '..' and '${{'.")
        if "hydra" in re.split("[./@]", words[-1] if words else ""):
            raise UserError(f"{where}: only the command line changes Hydra: hydra/launcher=NAME.")
        if group.partition("/")[0] in _own_groups():
            named = name.strip("/") if isinstance(entry, Mapping) or name.startswith("/") else ""
            allowed = _DATA if group == "data" else {"": "", group: ""}
            if len(words) > 1 or named not in allowed or package not in ("", allowed[named]):
                raise UserError(f"{where}: a YAML of {group}/ speaks for {group} alone. Say it on the command line.")


def _check_names_no_code(content: Any, group: str, file: Path) -> None:
    for key, value in _walk(content) if isinstance(content, dict | list) else ():
        if key in ("_target_", "()"):
            raise UserError(
                f"{file}: {key}: {value}. Only YAMLs of {', '.join(sorted(CODE))} may name code: write it as "
                "GROUP/NAME.yaml, and choose it on the command line with GROUP=NAME."
            )
        if key == "reader" and group != "benchmark" and "." in str(value):
            raise UserError(f"{file}: reader: {value}. Only a benchmark's own YAML may name a reader.")


def _check_interpolations(content: Any, file: Path) -> None:
    for pair in _walk(content) if isinstance(content, dict | list) else ():
        for text in pair:
            if isinstance(text, str) and _INTERPOLATION.search(_KEY.sub("", text)):
                raise UserError(
                    f"{file}: {text!r}: only ${{KEY}}, another key's value, may stand there, as in ${{paths.data}}. "
                    "What comes from the environment is given on the command line: KEY=VALUE."
                )


def _check_places(content: Mapping[str, Any], group: str, file: Path) -> None:
    """Names become folders; generated data are written to ``data.path``."""
    if isinstance(name := content.get("name"), str) and group in CODE | _own_groups() and not _NAME.fullmatch(name):
        raise UserError(f"{file}: name: {name!r} must be letters, digits, blanks and . _ - only.")
    path = content.get("path")
    if (
        group == "data"
        and path is not None
        and (not str(path).startswith("${paths.data}/") or ".." in Path(str(path)).parts)
    ):
        raise UserError(f"{file}: path: {path}: must be below ${{paths.data}}/. Elsewhere: data.path=FOLDER.")
    downloads = content.get("downloads")
    for key, value in _walk(downloads) if group == "benchmark" and isinstance(downloads, dict) else ():
        if "${" in str(value):
            raise UserError(f"{file}: downloads: {key}: {value}: an address is written out, without ${{KEY}}.")
