"""CSV that a spreadsheet may open."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from app.usage.csv_rows import csv_lines

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


@given(st.lists(st.fixed_dictionaries({"a": texts, "b": st.integers() | st.none()}), max_size=5))
def test_no_cell_runs_and_none_is_changed_otherwise(rows: list[dict[str, object]]) -> None:
    text = "".join(csv_lines(["a", "b", "missing"], rows))
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(read) == len(rows)
    for row, was in zip(read, rows, strict=True):
        assert not row["a"].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert row["a"] in {was["a"], f"'{was['a']}"}
        assert (row["b"], row["missing"]) == ("" if was["b"] is None else str(was["b"]), "")


def test_an_empty_table_has_a_header() -> None:
    assert "".join(csv_lines(["a", "b"], [])) == "a,b\r\n"
