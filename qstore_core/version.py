"""The version of the core, which a plugin's `qstore-core` requirement is checked against."""

from __future__ import annotations

__version__ = "0.1.0"
