"""Checkpoints: what goes in comes out to the last bit, and a file is whole or refused."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qstore_core.archive import write_atomically
from qstore_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from qstore_core.cost import Cost
from qstore_core.errors import CheckpointError, RunDirectoryError


@pytest.fixture
def checkpoint(rng: np.random.Generator) -> Checkpoint:
    return Checkpoint(
        model="0123abcd",
        parameters=rng.normal(size=7),
        loss_parameters=np.array([4.0]),
        settings={"optimizer": "adam", "learning_rate": 0.1, "loss": "cross_entropy", "shots_per_circuit": None},
        optimizer={"mean": rng.normal(size=7), "square": rng.random(7), "steps": 12},
        loss_optimizer={"mean": np.zeros(1), "square": np.zeros(1), "steps": 12},
        estimator=12,
        seed=2**63 - 1,
        step=12,
        epoch=3,
        samples_done=2,
        spent=Cost(usd_low=0.1, usd_high=0.3, circuits=480, shots=48000, jobs=12, seconds=1.5),
        scaler={"mean": rng.normal(size=3), "components": rng.normal(size=(3, 2))},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.npz"


@pytest.fixture
def stored(checkpoint: Checkpoint, path: Path) -> Path:
    save_checkpoint(checkpoint, path)
    return path


def same(found: Any, wanted: Any) -> bool:
    """Equal in type, shape and every bit; a tuple comes back as a list."""
    if isinstance(wanted, np.ndarray):
        return (found.dtype, found.shape, found.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return type(found) is list and len(found) == len(wanted) and all(map(same, found, wanted))
    return type(found) is type(wanted) and repr(found) == repr(wanted)


def content(checkpoint: Checkpoint) -> dict[str, Any]:
    return {entry.name: getattr(checkpoint, entry.name) for entry in fields(checkpoint)}


class TestRoundTrip:
    def test_every_field_comes_back(self, checkpoint: Checkpoint, stored: Path) -> None:
        assert same(content(load_checkpoint(stored)), content(checkpoint))

    @pytest.mark.parametrize(
        "state",
        [
            None,
            True,
            3,
            -(2**100),
            0.1 + 0.2,
            -0.0,
            5e-324,
            inf,
            -inf,
            nan,
            "θ \n \x00",
            [],
            {},
            (1, 2.5, "x"),
            {"array": 3, "list": {"dict": [1, {"float": "nan"}]}},
            {"": [None, {"deep": [[np.arange(6.0).reshape(2, 3)]]}]},
            np.array(2.5),
            np.array([[1, 2], [3, 4]], dtype=np.int8),
            np.array([0.1, -0.0, nan, inf]),
            np.array([], dtype=np.uint64),
            np.array([True, False]),
            np.array([1 + 2j]),
            np.array(["spsa", "adjoint"]),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        ],
        ids=repr,
    )
    def test_a_nested_state_comes_back_to_the_last_bit(self, checkpoint: Checkpoint, path: Path, state: Any) -> None:
        save_checkpoint(replace(checkpoint, estimator=state), path)
        assert same(load_checkpoint(path).estimator, state)

    def test_numpys_numbers_come_back_as_pythons(self, checkpoint: Checkpoint, path: Path) -> None:
        save_checkpoint(replace(checkpoint, estimator=[np.float64(0.1), np.int64(3), np.bool_(True)]), path)
        assert same(load_checkpoint(path).estimator, [0.1, 3, True])

    def test_saving_again_replaces_the_file_and_leaves_no_other(self, checkpoint: Checkpoint, stored: Path) -> None:
        save_checkpoint(replace(checkpoint, step=13), stored)
        assert load_checkpoint(stored).step == 13
        assert [each.name for each in stored.parent.iterdir()] == [stored.name]


@dataclass
class Own:
    value: int = 3


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (Own(), "Own"),
        ({1: "one"}, "dict"),
        ({1, 2}, "set"),
        (b"bytes", "bytes"),
        (1j, "complex"),
        (np.array([None, {}], dtype=object), "ndarray"),
        ([{"deep": object}], "type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_could_not_be_read_back_is_not_written(checkpoint: Checkpoint, path: Path, state: Any, kind: str) -> None:
    with pytest.raises(CheckpointError, match=rf"a checkpoint stores numbers, .*, not {kind}: "):
        save_checkpoint(replace(checkpoint, estimator=state), path)
    assert list(path.parent.iterdir()) == []


class TestAtomicity:
    @pytest.mark.parametrize("step", ["write", "fsync", "replace"])
    @pytest.mark.parametrize(
        ("failure", "raised"),
        [(OSError(28, "No space left on device"), RunDirectoryError), (KeyboardInterrupt(), None)],
    )
    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
        self,
        stored: Path,
        monkeypatch: pytest.MonkeyPatch,
        step: str,
        failure: BaseException,
        raised: type[BaseException] | None,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise failure

        class Full(io.FileIO):
            write = fail  # type: ignore[assignment]

        before = stored.read_bytes()
        with monkeypatch.context() as patch:
            if step == "write":
                patch.setattr(Path, "open", lambda self, mode: Full(self, mode))
            elif step == "fsync":
                patch.setattr(os, "fsync", fail)
            else:
                patch.setattr(Path, "replace", fail)
            with pytest.raises(raised or type(failure)) as caught:
                write_atomically(stored, b"new")
        if raised:
            assert str(caught.value) == f"cannot write {stored}: No space left on device"
        assert stored.read_bytes() == before
        assert [each.name for each in stored.parent.iterdir()] == [stored.name]

    def test_a_place_that_cannot_be_written_is_told(self, checkpoint: Checkpoint, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(RunDirectoryError, match=r"cannot write .*file.checkpoint.npz: Not a directory"):
            save_checkpoint(checkpoint, tmp_path / "file" / "checkpoint.npz")
        with pytest.raises(RunDirectoryError, match=r"cannot write .*none.checkpoint.npz: No such file or directory"):
            save_checkpoint(checkpoint, tmp_path / "none" / "checkpoint.npz")


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def text(value: str) -> Any:
    return np.frombuffer(value.encode(), dtype=np.uint8)


def headed(document: str) -> bytes:
    return npz(header=text(f'{{"format": "qstore-checkpoint-1", "checkpoint": {document}}}'))


class TestRefusals:
    def test_a_missing_file_is_told(self, path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"there is no checkpoint at .*checkpoint.npz$"):
            load_checkpoint(path)

    def test_a_directory_is_not_a_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*: Is a directory"):
            load_checkpoint(tmp_path)

    @pytest.mark.parametrize(
        "damaged",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"PK", id="the start of an archive"),
            pytest.param(b"not a checkpoint at all", id="text"),
            pytest.param(npy(np.arange(3)), id="an array"),
            pytest.param(npy(np.array([Own()], dtype=object)), id="a pickle"),
            pytest.param(npz(parameters=np.arange(3)), id="an archive of arrays"),
            pytest.param(npz(header=text("{")), id="broken JSON"),
            pytest.param(npz(header=text("[]")), id="other JSON"),
            pytest.param(npz(header=text("{}")), id="no format"),
            pytest.param(headed('{"dict": {}}'), id="no fields"),
            pytest.param(headed('{"dict": {"model": {"array": "array_7"}}}'), id="a lost array"),
            pytest.param(headed('{"list": []}'), id="a list"),
            pytest.param(headed('{"a": 1, "b": 2}'), id="an unknown kind"),
        ],
    )
    def test_something_else_is_refused_in_one_line(self, path: Path, damaged: bytes) -> None:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"is damaged \(\w+: .*\); remove it to start afresh$") as refused:
            load_checkpoint(path)
        assert "\n" not in str(refused.value)
        assert path.read_bytes() == damaged

    def test_another_version_is_told_apart_from_damage(self, path: Path) -> None:
        path.write_bytes(npz(header=text('{"format": "qstore-checkpoint-2", "checkpoint": {}}')))
        with pytest.raises(CheckpointError, match="another version: 'qstore-checkpoint-2', not 'qstore-checkpoint-1'"):
            load_checkpoint(path)

    def test_every_truncation_is_noticed(self, stored: Path) -> None:
        whole = stored.read_bytes()
        for length in range(0, len(whole), 7):
            stored.write_bytes(whole[:length])
            with pytest.raises(CheckpointError):
                load_checkpoint(stored)

    def test_a_changed_byte_is_noticed_or_does_no_harm(self, checkpoint: Checkpoint, stored: Path) -> None:
        whole, wanted = stored.read_bytes(), content(checkpoint)
        noticed = 0
        for place in range(0, len(whole), 3):
            stored.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            try:
                assert same(content(load_checkpoint(stored)), wanted)  # a date in the archive's directory, say
            except CheckpointError:
                noticed += 1
        assert noticed > len(whole) / 6


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, ("harm",)


def test_nothing_is_ever_unpickled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    path.write_bytes(npz(header=text("{}"), array_0=np.array([Harmful()], dtype=object)))
    with pytest.raises(CheckpointError, match="Object arrays cannot be loaded when allow_pickle=False"):
        load_checkpoint(path)
    assert not Path("harm").exists()


def test_the_file_is_an_ordinary_archive_of_arrays_and_json(stored: Path) -> None:
    with zipfile.ZipFile(stored) as archive:
        assert archive.testzip() is None
        assert all(name.endswith(".npy") for name in archive.namelist())
