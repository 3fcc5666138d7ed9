"""Which versions of the core a plugin says it goes with, read without `packaging` where that is enough."""

from __future__ import annotations

import sys

import pytest
from packaging.specifiers import SpecifierSet

from qstore_core.discovery import _contains, _sorted_range

VERSIONS = ("0.1", "0.1.0", "0.1.1", "0.2", "0.2.0", "0.10", "1.0", "0.2.0rc1", "0.1.0.dev3", "0.1.0+local", "2026.1")
RANGES = ("", ">=0.1,<0.2", ">=0.1.0,<0.2.0", "<1,>=0.1.1", ">=0.1", "~=0.1.0", "==0.1.*", "!=0.1.0,>=0.1", ">=0.9,<1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wanted", RANGES)
def test_a_range_means_what_it_does_to_packaging(wanted: str, version: str) -> None:
    written = _sorted_range(wanted)
    assert written == str(SpecifierSet(wanted))
    assert _contains(written, version) == SpecifierSet(wanted).contains(version, prereleases=True)


def test_the_ranges_that_are_common_need_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.specifiers", None)
    assert _contains("<0.2,>=0.1", "0.1.7")
    assert not _contains("<0.2,>=0.1", "0.2.0")
    with pytest.raises(ImportError):
        _contains("~=0.1.0", "0.1.7")
