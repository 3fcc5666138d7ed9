"""Which plugins are installed, read from the metadata of distributions without importing any plugin."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_core.errors import PluginCollisionError, PluginError, PluginLoadError, PluginVersionError
from qstore_core.hookspecs import PROJECT
from qstore_core.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

CORE = "qstore-core"
SELECTION_VARIABLE = "QSTORE_PLUGINS"

_VERSION = r"(?:[<>=!]=|~=|<|>)\s*\d[\w.*+!-]*"
_PLAIN = re.compile(
    rf"([A-Za-z0-9][\w.-]*)(?:\[[\w,. -]*\])?\s*({_VERSION}(?:\s*,\s*{_VERSION})*)?\s*(;\s*extra\s*==\s*[\w'\"-]+)?"
)
"""A requirement without a marker other than that of an extra: name, versions, extra."""
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_SIMPLE = re.compile(rf"<({_NUMBERS.pattern}),>=({_NUMBERS.pattern})")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that a distribution declares; nothing of it is imported yet.

    `core_range` is what its metadata asks of qstore-core, such as ">=0.1,<0.2"; `error` says why it cannot be loaded.
    """

    name: str
    distribution: str
    version: str = ""
    core_range: str = ""
    entry_point: EntryPoint | None = None
    error: PluginError | None = None


def installed_distributions() -> Iterable[Distribution]:
    """Every distribution on `sys.path` that may hold plugins, in the order that imports follow."""
    # This import takes about as long as the rest of `import qstore_core` without NumPy.
    from importlib.metadata import Distribution, distributions

    for place in map(Path, sys.path):
        if not place.is_dir():  # such as a zip file
            yield from distributions(path=[str(place)])
            continue
        # Only a file that names plugins is worth an object: there may be hundreds of distributions.
        for folder in sorted(place.iterdir()):
            if folder.suffix in (".dist-info", ".egg-info") and _names_plugins(folder / "entry_points.txt"):
                yield Distribution.at(folder)


def _names_plugins(file: Path) -> bool:
    try:
        return f"[{PROJECT}]".encode() in file.read_bytes()
    except OSError:
        return False


def selected_plugins() -> frozenset[str] | None:
    """The names in the environment variable QSTORE_PLUGINS, or None when it is not set and all plugins are wanted."""
    value = os.environ.get(SELECTION_VARIABLE)
    return None if value is None else frozenset(filter(None, map(str.strip, value.split(","))))


def find_candidates(distributions: Iterable[Distribution]) -> list[Candidate]:
    """All the plugins that `distributions` declare, by name; one whose metadata is damaged is kept with its error."""
    found: dict[str, list[Candidate]] = {}
    for distribution in distributions:
        for candidate in _declared_by(distribution):
            # Imports take the first copy on sys.path too, so a later one of the same distribution is no rival.
            known = found.setdefault(_normalised(candidate.distribution), [])
            if all(other.name != candidate.name for other in known):
                known.append(candidate)
    return sorted((candidate for known in found.values() for candidate in known), key=lambda found: found.name)


def collision(rivals: Sequence[Candidate]) -> PluginCollisionError:
    """The error for a plugin name that several distributions declare."""
    owners = " and ".join(f"{rival.distribution} {rival.version}".strip() for rival in rivals)
    return PluginCollisionError(
        f"plugin {rivals[0].name!r} is declared by {owners}, so none of them is loaded; uninstall all but one"
    )


def _declared_by(distribution: Distribution) -> list[Candidate]:
    text = _entry_points_text(distribution)
    # Most distributions end here. Parsing their entry points would cost time, and one damaged file anywhere on
    # sys.path makes importlib.metadata.entry_points() raise.
    if f"[{PROJECT}]" not in text:
        return []
    try:
        entry_points = list(distribution.entry_points.select(group=PROJECT))
        return [_candidate(distribution, entry_point) for entry_point in entry_points]
    except Exception as error:
        name = _distribution_name(distribution)
        return [Candidate(name, name, error=_damaged(name, "entry_points.txt", error))]


def _entry_points_text(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, ValueError):
        return ""


def _distribution_name(distribution: Distribution) -> str:
    try:
        return _field(distribution, "Name")
    except Exception:
        return "unnamed"


def _field(distribution: Distribution, name: str) -> str:
    # Without this check a missing field reads as None on some versions of Python and raises on others.
    if name not in distribution.metadata:
        raise ValueError(f"it has no field {name}")
    return distribution.metadata[name]


def _candidate(distribution: Distribution, entry_point: EntryPoint) -> Candidate:
    name = _distribution_name(distribution)
    try:
        version, core_range = _field(distribution, "Version"), _core_range(distribution)
        return Candidate(
            entry_point.name, name, version, core_range, entry_point, _version_error(entry_point.name, core_range)
        )
    except Exception as error:
        return Candidate(entry_point.name, name, error=_damaged(entry_point.name, "METADATA", error))


def _damaged(plugin: str, file: str, error: Exception) -> PluginLoadError:
    problem = PluginLoadError(
        f"plugin {plugin!r}: the file {file} of its distribution cannot be read ({type(error).__name__}: {error}); "
        "install the distribution again"
    )
    problem.__cause__ = error
    return problem


def _core_range(distribution: Distribution) -> str:
    texts = list(distribution.requires or ())
    plain = [_PLAIN.fullmatch(text) for text in texts]
    if all(plain):  # reading these by hand saves an import that takes longer than a short training run
        found = [match for match in plain if match and _normalised(match[1]) == CORE and not match[3]]
        return ",".join(_sorted_range(match[2]) for match in found if match[2])
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in texts]
    ours = [requirement for requirement in wanted if _normalised(requirement.name) == CORE]
    applying = [each for each in ours if each.marker is None or each.marker.evaluate({"extra": ""})]
    return ",".join(str(requirement.specifier) for requirement in applying if requirement.specifier)


def _sorted_range(text: str) -> str:
    """As `packaging` writes it."""
    return ",".join(sorted("".join(part.split()) for part in text.split(",")))


def _version_error(plugin: str, core_range: str) -> PluginVersionError | None:
    if _contains(core_range, __version__):
        return None
    return PluginVersionError(
        f"plugin {plugin!r} needs {CORE}{core_range}, but {CORE} {__version__} is installed; "
        "install versions that go together"
    )


def _contains(core_range: str, version: str) -> bool:
    """Whether a version is in a range; those from one release to before another are seen without `packaging`."""
    simple, here = _SIMPLE.fullmatch(core_range), _release(version)
    if simple and here:
        before, least = _release(simple[1]), _release(simple[2])
        return least <= here < before
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(core_range).contains(version, prereleases=True)


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a release, without zeros at the end; none where it is more than numbers."""
    if not _NUMBERS.fullmatch(version):
        return ()
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers) or (0,)


def _normalised(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
