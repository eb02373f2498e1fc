import gzip
import io
import json
import tarfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import webdataset as wds

from tasks.source.formats import webdataset
from tasks.source.shards import ShardUnreadable

Members = Iterable[tuple[str, bytes]]


def _tar(members: Members, **options: Any) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", **options) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def _pairs(count: int = 5) -> list[tuple[str, bytes]]:
    return [
        member
        for row in range(count)
        for member in (
            (f"tiles/{row}.jpg", b"picture %d" % row),
            (f"tiles/{row}.txt", b"caption %d" % row),
            (f"tiles/{row}.json", json.dumps({"score": row / 2, "zoom": 10 + row}).encode()),
        )
    ]


def _read(data: bytes, columns: Collection[str] | None = None) -> tuple[list[dict[str, Any]], str]:
    rows: list[dict[str, Any]] = []
    try:
        for batch in webdataset.read_batches(pa.BufferReader(data), columns):
            batch.validate(full=True)
            rows += batch.to_pylist()
    except ShardUnreadable as error:
        return rows, str(error)
    return rows, ""


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
@pytest.mark.parametrize("wrap", [pa.BufferReader, lambda data: pa.PythonFile(io.BytesIO(data), "r")])
def test_members_become_the_columns_of_their_samples(pack: Any, wrap: Any) -> None:
    file = wrap(pack(_tar(_pairs())))
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema(
        {"__key__": pa.string(), "jpg": image, "txt": pa.string(), "score": pa.float64(), "zoom": pa.int64()}
    )
    assert webdataset.read_schema(file).equals(schema)
    [batch] = webdataset.read_batches(file, None)
    assert batch.schema.equals(schema)
    assert batch.to_pylist()[3] == {
        "__key__": "tiles/3",
        "jpg": {"bytes": b"picture 3", "path": "tiles/3.jpg"},
        "txt": "caption 3",
        "score": 1.5,
        "zoom": 13,
    }


def test_samples_are_those_that_the_webdataset_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    with wds.TarWriter(str(path)) as writer:
        for row in range(30):
            extra = {"seg.png": b"mask", "cls": str(row % 3)} if row % 4 == 1 else {"pyd": {"row": row}}
            writer.write({"__key__": f"a.b/{row:03}", "jpg": b"picture %d" % row, "txt": f"caption {row}", **extra})
    by_library = [
        {name: value for name, value in sample.items() if name != "__url__"}
        for sample in wds.tarfile_samples([{"url": str(path)}])
    ]
    rows, fault = _read(path.read_bytes())
    assert fault == ""
    assert [
        {
            name: value if isinstance(value, bytes | str) and name in ("__key__", "pyd") else _as_bytes(value)
            for name, value in row.items()
            if value is not None
        }
        for row in rows
    ] == by_library


def _as_bytes(value: Any) -> Any:
    return value["bytes"] if isinstance(value, dict) else value.encode()


def test_nothing_is_unpickled_and_no_name_is_followed(tmp_path: Path) -> None:
    rows, fault = _read(_tar([("../../etc/x.jpg", b"picture"), ("../../etc/x.pkl", b"\x80\x04cposix\nsystem\n.")]))
    assert fault == ""
    assert rows == [
        {
            "__key__": "../../etc/x",
            "jpg": {"bytes": b"picture", "path": "../../etc/x.jpg"},
            "pkl": b"\x80\x04cposix\nsystem\n.",
        }
    ]


def test_only_the_columns_asked_for_are_given_and_absent_ones_are_ignored() -> None:
    rows, fault = _read(_tar(_pairs(2)), ["zoom", "txt", "nowhere"])
    assert (rows, fault) == ([{"txt": "caption 0", "zoom": 10}, {"txt": "caption 1", "zoom": 11}], "")
    [batch] = webdataset.read_batches(pa.BufferReader(_tar(_pairs(2))), [])
    assert (batch.num_rows, batch.num_columns) == (2, 0)


def test_columns_that_come_late_or_change_their_type_lose_nothing() -> None:
    objects = [{"n": 1, "a": None}, {"n": 2.5, "tags": ["x"]}, {"n": 3, "a": True, "z": 2**70}, {"late": 1}]
    members = [(f"{row}.json", json.dumps(value).encode()) for row, value in enumerate(objects)]
    rows, fault = _read(_tar([*members, ("3.webp", b"late"), ("4.json", b"{broken"), ("5.json", b"[1, 2]")]))
    assert fault == ""
    assert [row["n"] for row in rows] == [1.0, 2.5, 3.0, None, None, None]
    assert [row["a"] for row in rows] == [None, None, True, None, None, None]
    assert [row["tags"] for row in rows] == [None, '["x"]', None, None, None, None]
    assert [row["z"] for row in rows][2] == str(2**70)
    assert [row["late"] for row in rows] == [None, None, None, 1, None, None]
    assert [row["webp"] and row["webp"]["bytes"] for row in rows] == [None, None, None, b"late", None, None]
    assert [row["json"] for row in rows] == [None, None, None, None, "{broken", "[1, 2]"]


def test_a_json_field_named_as_a_member_has_a_column_of_its_own() -> None:
    rows, _ = _read(_tar([("a.txt", b"member"), ("a.json", b'{"txt": "field", "__key__": "other"}')]))
    assert rows == [{"__key__": "a", "txt": "member", "json.txt": "field", "json.__key__": "other"}]


def test_text_that_is_no_utf_8_is_handed_on_as_it_is() -> None:
    data = _tar([("a.txt", b"\xff bad"), ("a.json", b'{"caption": "\xfe", "half": "\\ud800"}')])
    [batch] = webdataset.read_batches(pa.BufferReader(data), None)
    assert batch["txt"].view(pa.binary()).to_pylist() == [b"\xff bad"]
    assert batch["caption"].view(pa.binary()).to_pylist() == [b"\xfe"]
    assert batch["half"].view(pa.binary()).to_pylist() == [b"\xed\xa0\x80"]


def test_batches_are_bounded_in_rows_and_bytes() -> None:
    small = _tar((f"{row}.txt", b"") for row in range(2_100))
    assert [batch.num_rows for batch in webdataset.read_batches(pa.BufferReader(small), None)] == [1_024, 1_024, 52]
    large = _tar((f"{row}.jpg", bytes(20_000_000)) for row in range(5))
    assert [batch.num_rows for batch in webdataset.read_batches(pa.BufferReader(large), None)] == [3, 2]


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read_and_absurd_ones_are_refused(format: int) -> None:
    name = "folder/" * 60 + "ä.jpg"
    rows, fault = _read(_tar([(name, b"x")], format=format))
    assert (rows[0]["jpg"]["path"], fault) == (name, "")
    rows, fault = _read(_tar([("a.jpg", b"x"), ("b.jpg", b"x"), ("long/" * 10_000 + "c.jpg", b"x")], format=format))
    assert [row["__key__"] for row in rows] == ["a"]
    assert "a member's name of 50,005 characters" in fault


def test_a_shard_cut_anywhere_gives_the_whole_samples_before_the_cut() -> None:
    whole = _tar(_pairs())
    rows, _ = _read(whole)
    before = -1
    for length in range(600, 5 * 3 * 1_024 + 1, 90):
        found, fault = _read(whole[:length])
        assert fault.startswith(("cut short", "unexpected end of data")) or "no sample" in fault
        assert found == [{name: row[name] for name in found[0]} for row in rows[: len(found)]]
        assert len(found) >= before
        before = len(found)
    assert before == 4


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    data = bytearray(_tar(_pairs()))
    data[9 * 1024 + 5] ^= 1  # a name in the header of the tenth member, the first of the fourth sample
    rows, fault = _read(bytes(data))
    assert [row["__key__"] for row in rows] == ["tiles/0", "tiles/1"]
    assert fault == "a damaged header: bad checksum"
    data[9 * 1024 : 10 * 1024] = bytes(1024)
    rows, fault = _read(bytes(data))
    assert fault.startswith("data behind the end-of-archive marker")


def test_a_gzip_checksum_that_is_wrong_is_told() -> None:
    data = bytearray(gzip.compress(_tar(_pairs())))
    data[-6] ^= 1
    _, fault = _read(bytes(data))
    assert fault.startswith("CRC check failed")
    _, fault = _read(bytes(data[:-300]))
    assert "end-of-stream" in fault or "cut short" in fault or "invalid" in fault


def test_a_member_named_twice_is_told() -> None:
    rows, fault = _read(_tar([("a.txt", b"1"), ("b.txt", b"2"), ("b.txt", b"3")]))
    assert ([row["__key__"] for row in rows], fault) == (["a"], "b.txt: duplicate file name in tar file txt")


def test_a_negative_size_is_refused_and_not_followed_in_circles() -> None:
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"size": "-2048"}
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    for columns, whole, told in (([], 2, "leads backwards"), (["jpg"], 1, "a member of -2048 bytes")):
        rows, fault = _read(_tar([("0.jpg", b"x"), ("1.jpg", b"x")])[:2048] + data, columns)
        assert len(rows) == whole
        assert told in fault


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "zero bytes long; expected a tar archive"),
        (b"PAR1" + bytes(600), "found a Parquet file; expected a tar archive"),
        (b"BZh91AY" + bytes(600), "found bzip2-compressed data; expected a tar archive"),
        (b"some text\n" * 90, "found text, 'some text\\nsome text\\nsome'; expected a tar archive"),
        (_tar([]), "no sample in it; expected files named <key>.<extension>"),
        (_tar([("README", b"")]), "no sample in it; expected files named <key>.<extension>"),
        (gzip.compress(b"no tar" * 200, mtime=0), "a damaged header: bad checksum"),
    ],
)
def test_a_file_of_another_kind_is_named(data: bytes, told: str) -> None:
    assert _read(data)[0] == []
    assert _read(data)[1] in (told, told.replace("bad checksum", "invalid header"))
    with pytest.raises(ShardUnreadable):
        webdataset.read_schema(pa.BufferReader(data))


def test_pictures_of_several_formats_one_a_sample_are_one_column(tmp_path: Path) -> None:
    rows = [{"jpg": b"a", "txt": b"A"}, {"png": b"b", "txt": b"B"}, {"txt": b"C"}]
    path = tmp_path / "mixed.tar"
    with tarfile.open(path, "w") as tar:
        for number, members in enumerate(rows):
            for extension, data in members.items():
                header = tarfile.TarInfo(f"{number}.{extension}")
                header.size = len(data)
                tar.addfile(header, io.BytesIO(data))
    with pa.OSFile(str(path)) as file:
        [batch] = webdataset.read_batches(file, None)
    assert batch.schema.names == ["__key__", "txt", "image"]
    assert batch.column("image").to_pylist() == [
        {"bytes": b"a", "path": "0.jpg"}, {"bytes": b"b", "path": "1.png"}, None,
    ]  # fmt: skip
