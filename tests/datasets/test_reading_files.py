from __future__ import annotations

import csv
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from calf.datasets import load_dataset, validate_file
from calf.errors import DataError, UserError


def rows(count: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "id": f"r{number}",
            "question": f"Question {number}?",
            "reference": "The reference.",
            "response_a": "One answer\nin two lines.",
            "response_b": "Another, with a comma.",
            "setting": "model_vs_model",
            "label": "same",
        }
        for number in range(count)
    ]


def lines(records: list[dict[str, Any]], end: str = "\n") -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + end for record in records)


def table(records: list[dict[str, Any]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def save(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return path


def error(path: Path) -> DataError:
    """The one error of a bad file, which `validate_file` must find too."""
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    dataset, problems = validate_file(path)
    assert dataset is None
    assert problems[0].line == caught.value.line
    assert caught.value.problem.startswith(problems[0].text)
    return caught.value


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.jsonl", lines(rows())),
        ("d.ndjson", lines(rows())),
        ("d.json", json.dumps(rows(), indent=1)),
        ("d.json", json.dumps({"version": {"a": [1]}, "data": rows(), "more": 2})),
        ("lines.json", lines(rows())),
        ("D.CSV", table(rows())),
        ("d.tsv", table(rows(), "\t")),
    ],
)
def test_good_files(tmp_path: Path, name: str, text: str, bom: bytes, end: str) -> None:
    content = text.replace("\r\n", "\n").replace("\n", end).encode()
    dataset = load_dataset(save(tmp_path / name, bom + content))
    assert [comparison.id for comparison in dataset] == ["r0", "r1", "r2"]
    assert dataset.comparisons[0].response_a.split() == "One answer in two lines.".split()
    assert dataset.comparisons[0].extra == {}
    assert dataset.name == Path(name).stem
    assert dataset.source == str(tmp_path / name)
    assert validate_file(tmp_path / name) == (dataset, [])


def test_separators_inside_texts_do_not_end_a_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three\x0bfour"
    record = {**rows(1)[0], "response_a": text}
    for name, content in (("d.jsonl", lines([record])), ("d.csv", table([record]))):
        assert load_dataset(save(tmp_path / name, content)).comparisons[0].response_a == text


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    good = lines(rows(1))
    path = save(tmp_path / "d.jsonl", good + "\n  \n" + good)
    assert error(path).line == 4


HALF = lines(rows())[:-30]


@pytest.mark.parametrize(
    ("name", "content", "line", "text"),
    [
        ("empty.jsonl", "", None, "the file is empty"),
        ("bom.jsonl", b"\xef\xbb\xbf", None, "the file is empty"),
        ("blank.json", " \n\n", None, "the file is empty"),
        ("none.json", "[ ]", None, "no records in it"),
        ("header.csv", "id,question,response_a,response_b,label,setting\n", None, "no records in it"),
        ("latin.jsonl", lines(rows(2)).encode() + "{'é'}".encode("latin-1"), 3, "not UTF-8 (byte 0xe9)"),
        ("latin.json", json.dumps(rows(1), indent=0).replace("One", "Ã").encode("latin-1"), 6, "not UTF-8 (byte 0xc3)"),
        ("latin.csv", b"id,question\n1,\xff\n", 2, "not UTF-8 (byte 0xff)"),
        ("wide.csv", table(rows()).encode("utf-16"), 1, "UTF-16 text; save the file as UTF-8"),
        ("half.jsonl", HALF, 3, "not JSON: it ends in the middle of a record; the file seems cut short"),
        ("half.json", json.dumps(rows(), indent=1)[:-80], 25, "not JSON: it ends in the middle of a record; what"),
        ("open.json", json.dumps(rows(1))[:-1], 1, "not JSON: the file ends inside the list"),
        ("comma.json", "[\n" + lines(rows(2)) + "]", 3, "not JSON: expected , or ]"),
        ("half.csv", table(rows())[:-60], 6, "a quoted field that begins in this row never ends"),
        ("cut.csv", table(rows())[:-10], 6, "6 columns, but the header has 7"),
        ("open.csv", table(rows()) + '9,"open\n\n', 8, "a quoted field that begins in this row never ends; what"),
        ("quotes.csv", table(rows()) + '9,"a"b\n', 8, "not CSV: ',' expected after '\"'"),
        ("short.csv", "id,question,response_a,response_b,label\n1,2\n", 2, "2 columns, but the header has 5"),
        ("long.csv", table(rows(1)) + "1,2,3,4,5,6,7,8\n", 4, "8 columns, but the header has 7"),
        ("twice.csv", "id,label,id\n1,2,3\n", 1, "two columns are named 'id'"),
        ("unnamed.csv", "id,,label\n1,2,3\n", 1, "column 2 has no name"),
        ("semicolons.csv", "id;question;label\n1;2;3\n", 1, "the columns are separated by ';'; expected ','"),
        ("broken.jsonl", lines(rows(1)) + "{nonsense}\n" + lines(rows(1)), 2, "not JSON: Expecting property name"),
        ("list.jsonl", "[1, 2]\n", 1, "a record must be an object, not a list"),
        ("number.json", "12", 1, 'not JSON: expected a list of objects, or {"data": [...]}'),
        ("members.json", '[\n "x"]', 2, "a record must be an object, not 'x'"),
        ("twokeys.jsonl", '{"id": 1, "id": 2}\n', 1, "the key 'id' stands twice in one object"),
        ("nan.jsonl", lines([{**rows(1)[0], "w": float("nan")}]), 1, "NaN is not JSON; write null or a finite number"),
        ("inf.json", json.dumps([{**rows(1)[0], "w": -float("inf")}]), 1, "-Infinity is not JSON"),
        ("big.jsonl", lines(rows(1))[:-2] + ', "w": 1e999}\n', 1, "the column 'w' is inf; write null or a finite"),
        ("digits.jsonl", '{"id": ' + "9" * 5000 + "}\n", 1, "not JSON: a number has too many digits"),
        ("deep.jsonl", "[" * 5000 + "]" * 5000, 1, ""),
        ("deep.json", "[" * 5000 + "]" * 5000, 1, ""),
        ("deepvalue.jsonl", lines(rows(1))[:-2] + ', "w": ' + "[" * 5000 + "]" * 5000 + "}", 1, "nested more than 100"),
        ("deepkeys.json", '{"data":' * 5000 + "1" + "}" * 5000, 1, ""),
        ("surrogate.jsonl", lines(rows(1)).replace("Question", "\\ud83d"), 1, "question holds half of a surrogate"),
        (
            "unknown.jsonl",
            lines([{"prompt": "p", "chosen": "c"}]),
            1,
            "no column 'question' (it has 'prompt', 'chosen')",
        ),
        (
            "unknown.csv",
            "id,qestion,response_a,response_b,label\n1,2,3,4,5\n",
            1,
            "no column 'question' (it has 'id', ",
        ),
        ("noid.csv", "question,response_a,response_b,label\n1,2,3,4\n", 1, "no column 'id' (it has "),
        ("pointer.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", 1, "a Git LFS pointer"),
        ("table.xlsx", "x", None, "unknown kind of file '.xlsx'"),
        ("noise.parquet", b"PAR1 and more", None, "not a Parquet file: "),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str | bytes, line: int | None, text: str) -> None:
    found = error(save(tmp_path / name, content))
    assert text in found.problem
    assert found.line == line


@pytest.mark.parametrize("name", ["noise.jsonl", "noise.json", "noise.csv", "noise.tsv", "noise.parquet"])
@pytest.mark.parametrize("size", [30, 20_000])
def test_noise(tmp_path: Path, name: str, size: int) -> None:
    error(save(tmp_path / name, b"\x89" + random.Random(size).randbytes(size)))


def test_missing_files_and_folders_without_data(tmp_path: Path) -> None:
    assert error(tmp_path / "nothing.jsonl").problem == "no such file"
    assert error(tmp_path / "nothing").problem == "no such file"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").write_text("# nothing")
    assert error(tmp_path / "folder").problem.startswith("a folder, but no dataset")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = save(tmp_path / "d.jsonl", lines(rows()))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert error(path).problem.startswith("cannot be read: ")


def test_all_problems_are_listed_by_line(tmp_path: Path) -> None:
    records = rows(6)
    records[1]["label"] = "A"
    records[3]["id"] = "r0"
    del records[4]["response_a"]
    raw = lines(records).encode().split(b"\n")
    raw[2] = b'{"id": "r2", "question": "\xff"}'
    raw.insert(5, b"{half")
    path = save(tmp_path / "d.jsonl", b"\n".join(raw))
    dataset, problems = validate_file(path)
    assert dataset is None
    assert [problem.line for problem in problems] == [2, 3, 4, 5, 6]
    with pytest.raises(DataError, match=r"d\.jsonl:2: .*\(and 4 more; `calf datasets validate .*` lists all\)"):
        load_dataset(path)


def test_what_precedes_a_broken_json_record_is_checked(tmp_path: Path) -> None:
    records = rows(3)
    records[0]["label"] = "x"
    text = "[\n" + ",\n".join(json.dumps(record) for record in records)[:-20]
    _, problems = validate_file(save(tmp_path / "d.json", text))
    assert [problem.line for problem in problems] == [2, 4]


def test_line_numbers_in_csv_count_lines_not_records(tmp_path: Path) -> None:
    records = rows(3)
    records[2]["label"] = "x"
    assert error(save(tmp_path / "d.csv", table(records))).line == 6


def test_a_field_longer_than_the_csv_module_s_limit(tmp_path: Path) -> None:
    record = {**rows(1)[0], "response_a": "long " * 60_000}
    dataset = load_dataset(save(tmp_path / "d.csv", table([record])))
    assert len(dataset.comparisons[0].response_a) == 300_000


def test_what_csv_cells_mean(tmp_path: Path) -> None:
    record = {
        **rows(1)[0],
        "reference": "",
        "response_b": "",
        "subject": "",
        "annotations": '[{"annotator": "p", "label": "same"}]',
        "seen": "3",
        "extra": '{"weight": 0.5, "tags": ["x"]}',
    }
    comparison = load_dataset(save(tmp_path / "d.csv", table([record]))).comparisons[0]
    assert (comparison.reference, comparison.response_b, comparison.subject) == (None, "", None)
    assert comparison.annotations[0].annotator == "p"
    assert comparison.extra == {"seen": "3", "weight": 0.5, "tags": ["x"]}


def test_a_broken_extra_cell(tmp_path: Path) -> None:
    text = table([{**rows(1)[0], "extra": "{half"}])
    assert error(save(tmp_path / "d.csv", text)).problem.startswith("the column 'extra': not JSON")


RECORD = (
    '{"id": "%d", "question": "q", "response_a": "a", "response_b": "b", "label": "same", "setting": "model_vs_model"}'
)


@pytest.mark.parametrize(
    "text",
    [f"[{RECORD % 1}]\n[{RECORD % 2}]", f'[{RECORD % 1}] {{"half": ', f'{{"data": [{RECORD % 1}], "x": nonsense}}'],
)
def test_text_after_the_list_is_a_problem(tmp_path: Path, text: str) -> None:
    file = tmp_path / "more.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"more\.json:\d: (there is more text after the list|not JSON)"):
        load_dataset(file)


def test_other_keys_beside_data_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(f'{{"version": 1, "data": [{RECORD % 1}], "note": {{"x": [1]}}}}\n')
    assert len(load_dataset(file)) == 1


def test_parquet_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": ["1"], "question": texts}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="not UTF-8"):
        load_dataset(tmp_path / "x.parquet")
