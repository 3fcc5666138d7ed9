"""Files of JSON and arrays: an .npz archive with a header, written whole or not at all, and never a pickle."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qstore_core.errors import QStoreError, RunDirectoryError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Archive:
    """One kind of such files.

    Attributes:
        kind: What one is called.
        format: What its header says, with the version.
        error: What is raised about one that cannot be read.
        advice: What to do about one that is damaged.

    >>> import tempfile
    >>> notes = Archive("note", "note-1", RunDirectoryError, "write it again")
    >>> with tempfile.TemporaryDirectory() as place:
    ...     notes.write(Path(place) / "note.npz", {"seen": np.arange(3)})
    ...     notes.read(Path(place) / "note.npz", lambda values: values["seen"])
    array([0, 1, 2])
    """

    kind: str
    format: str
    error: type[QStoreError]
    advice: str

    def write(self, path: Path, values: Mapping[str, Any]) -> None:
        """Write numbers, strings, arrays of them, lists, and dicts with strings as keys.

        Raises:
            RunDirectoryError: The place cannot be written.
            QStoreError: `error`: something that is none of these.
        """
        arrays: dict[str, NDArray[Any]] = {}
        document = self._flatten(values, arrays)
        buffer = io.BytesIO()
        header = json.dumps({"format": self.format, self.kind: document}, allow_nan=False)
        np.savez(buffer, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
        write_atomically(path, buffer.getvalue())

    def read(self, path: Path, make: Callable[[Any], T]) -> T:
        """What `make` makes of the values that were written.

        Raises:
            QStoreError: `error`: there is no such file, or it is damaged.
        """
        import zipfile  # here, because most programs read no such file

        try:
            # from memory: of a file that is no archive, np.load would leave the handle open
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            document = json.loads(arrays.pop("header").tobytes())
            if document["format"] != self.format:
                found = document["format"]
                raise self.error(f"{path} is a {self.kind} of another version: {found!r}, not {self.format!r}")
            return make(_unflatten(document[self.kind], arrays))
        except self.error:
            raise
        except FileNotFoundError:
            raise self.error(f"there is no {self.kind} at {path}") from None
        except OSError as error:
            raise self.error(f"cannot read the {self.kind} {path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
            raise self.error(
                f"the {self.kind} {path} is damaged ({type(error).__name__}: {error}); {self.advice}"
            ) from error

    def _flatten(self, value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
        """`value` as JSON, its arrays moved into `arrays` and referred to by name."""
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:  # objects would be pickled
            name = f"array_{len(arrays)}"
            arrays[name] = value
            return {"array": name}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self._flatten(entry, arrays) for key, entry in value.items()}}
        if isinstance(value, list | tuple):
            return {"list": [self._flatten(entry, arrays) for entry in value]}
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not isfinite(value):
            return {"float": str(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise self.error(
            f"a {self.kind} stores numbers, strings, arrays of them, lists, and dicts with strings as keys, not "
            f"{type(value).__name__}: {value!r:.80}"
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any instant leaves the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError):
            raise
        raise RunDirectoryError(f"cannot write {path}: {error.strerror or error}") from error


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a directory cannot be opened, and the rename is durable by itself
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unflatten(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "float":
        return float(content)
    if kind == "list":
        return [_unflatten(entry, arrays) for entry in content]
    return {key: _unflatten(entry, arrays) for key, entry in content.items()}
