"""Data sets by name, and what a CSV file may and may not hold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qstore_core.datasets import BUNDLED, Dataset, load_bundled, load_csv
from qstore_core.errors import ConfigurationError, DataError, UnknownNameError


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    """`table(text)`: a CSV file with that content."""

    def write(text: str) -> Path:
        path = tmp_path / "flowers.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


Table = Callable[[str], Path]


class TestCSV:
    def test_text_targets_are_classes_in_alphabetical_order(self, table: Table) -> None:
        data = load_csv(table("a,b,kind\n1,2.5,rose\n3,-4e1,iris\n5,6,rose\n"), "kind")
        assert data.name == "flowers"
        assert data.x.tolist() == [[1.0, 2.5], [3.0, -40.0], [5.0, 6.0]]
        assert (data.y.dtype, data.y.tolist()) == (np.int64, [1, 0, 1])
        assert data.classes == ("iris", "rose")

    def test_whole_numbers_are_classes_in_numerical_order(self, table: Table) -> None:
        data = load_csv(table("a,kind\n1,10\n2,9\n3,-1\n"), "kind")
        assert data.classes == ("-1", "9", "10")
        assert data.y.tolist() == [2, 1, 0]

    def test_a_class_number_may_be_written_in_two_ways(self, table: Table) -> None:
        data = load_csv(table("a,kind\n1,1\n2,1.0\n3,2\n"), "kind")
        assert data.classes == ("1", "2")
        assert data.y.tolist() == [0, 0, 1]

    def test_other_numbers_are_target_values(self, table: Table) -> None:
        data = load_csv(table("a,size\n1,0.5\n2,3\n"), "size")
        assert (data.y.dtype, data.y.tolist(), data.classes) == (np.float64, [0.5, 3.0], ())

    def test_columns_can_be_left_out(self, table: Table) -> None:
        data = load_csv(table("id,a,kind,b\n7,1,x,2\n8,3,y,4\n"), "kind", drop=["id"])
        assert data.x.tolist() == [[1.0, 2.0], [3.0, 4.0]]

    def test_a_byte_order_mark_blanks_and_empty_lines_do_no_harm(self, table: Table) -> None:
        data = load_csv(table("\ufeffa , kind\n 1 , x \n\n2,y\n"), "kind")
        assert (data.x.tolist(), data.classes) == ([[1.0], [2.0]], ("x", "y"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "has no rows below its header line"),
            ("a,kind\n", "has no rows below its header line"),
            ("a,label\n1,x\n", "has no column 'kind'; its columns are a, label"),
            ("kind\nx\ny\n", "has no column left besides the target 'kind'"),
            ("a,a,kind\n1,2,x\n", "names a column twice in its header line: a, a, kind"),
            ("a,kind\n1,x\n2\n", "line 3: 1 cells for 2 columns"),
            ("a,kind\n1,x\n,y\n", r"line 3: column 'a' is empty; fill it, or leave the column out \(--drop\)"),
            ("a,kind\n1,x\ntwo,y\n", "line 3: column 'a' holds 'two', which is not a finite number"),
            ("a,kind\n1,x\nnan,y\n", "line 3: column 'a' holds 'nan', which is not a finite number"),
            ("a,kind\n1,x\ninf,y\n", "line 3: column 'a' holds 'inf', which is not a finite number"),
            ("a,kind\n1,x\n2,\n", "line 3: the target column 'kind' is empty"),
            ("a,kind\n1,0.5\n2,inf\n", "line 3: column 'kind' holds 'inf', which is not a finite number"),
            ("a,kind\n1,x\n2,x\n", "the target column 'kind' has only one class, 'x'"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(self, table: Table, text: str, message: str) -> None:
        with pytest.raises(DataError, match=message) as refused:
            load_csv(table(text), "kind")
        assert str(table("")) in str(refused.value)

    def test_a_line_number_is_that_of_the_file(self, table: Table) -> None:
        with pytest.raises(DataError, match="line 5: column 'a' is empty"):
            load_csv(table('a,kind\n1,"two\nlines"\n\n,y\n'), "kind")

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cannot read .*none.csv: No such file or directory"):
            load_csv(tmp_path / "none.csv", "kind")

    def test_a_directory_is_not_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
            load_csv(tmp_path, "kind")

    def test_another_encoding_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "latin.csv"
        path.write_bytes("a,kind\n1,für\n".encode("latin-1"))
        with pytest.raises(DataError, match=r"latin.csv is not a CSV file in UTF-8"):
            load_csv(path, "kind")

    def test_an_unknown_column_to_drop_is_told(self, table: Table) -> None:
        with pytest.raises(DataError, match="has no column 'c'; its columns are a, kind"):
            load_csv(table("a,kind\n1,x\n2,y\n"), "kind", drop=["c"])


class TestBundled:
    @pytest.mark.parametrize(
        ("name", "shape", "n_classes"),
        [("breast_cancer", (569, 30), 2), ("digits", (1797, 64), 10), ("iris", (150, 4), 3), ("wine", (178, 13), 3)],
    )
    def test_each_is_there_with_its_classes(self, name: str, shape: tuple[int, int], n_classes: int) -> None:
        data = load_bundled(name)
        assert (data.name, data.x.shape, len(data.classes)) == (name, shape, n_classes)
        assert (data.x.dtype, data.y.dtype) == (np.float64, np.int64)
        assert np.unique(data.y).tolist() == list(range(n_classes))

    def test_an_unknown_name_lists_them_and_tells_of_files(self) -> None:
        with pytest.raises(UnknownNameError, match=f"{', '.join(BUNDLED)}. For a file of yours: --data FILE --target"):
            load_bundled("mnist")

    def test_without_scikit_learn_it_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn", None)
        with pytest.raises(ConfigurationError, match=r'need scikit-learn: pip install "qstore-core\[data\]"'):
            load_bundled("iris")


class TestChoosingClasses:
    data = Dataset("toy", np.arange(4.0)[:, None], np.array([0, 1, 2, 1]), ("a", "b", "c"))

    def test_they_are_renumbered_in_the_order_given(self) -> None:
        chosen = self.data.only(["b", "a"])
        assert (chosen.x.ravel().tolist(), chosen.y.tolist(), chosen.classes) == ([0, 1, 3], [1, 0, 0], ("b", "a"))

    def test_an_unknown_class_lists_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match=r"unknown class of toy 'd'.*Known: a, b, c"):
            self.data.only(["a", "d"])

    def test_one_class_is_too_few(self) -> None:
        with pytest.raises(ConfigurationError, match="choose at least two different classes, not 'a'"):
            self.data.only(["a"])

    def test_a_class_is_named_once(self) -> None:
        with pytest.raises(ConfigurationError, match="each class once, not 'a, b, a'"):
            self.data.only(["a", "b", "a"])

    def test_target_values_have_no_classes(self) -> None:
        with pytest.raises(ConfigurationError, match="toy has target values, not classes to choose from"):
            Dataset("toy", np.zeros((2, 1)), np.array([0.5, 1.5]), ()).only(["a", "b"])
