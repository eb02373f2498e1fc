import errno
import io
from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa
import pytest

from tasks.source.formats import arrow
from tasks.source.shards import ShardUnreadable

Make = Callable[..., pa.RecordBatchStreamWriter]
FORMATS = pytest.mark.parametrize("make", [pa.ipc.new_stream, pa.ipc.new_file])


def _table(rows: int = 30) -> pa.Table:
    images = [{"bytes": bytes([row]) * row, "path": None} for row in range(rows)]
    return pa.table(
        {
            "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "caption": [f"caption {row}" for row in range(rows)],
            "score": pa.array([row / 3 for row in range(rows)]),
        }
    ).replace_schema_metadata({"huggingface": "{}"})


def _bytes(make: Make, table: pa.Table, *, rows: int = 10, **options: Any) -> bytes:
    sink = io.BytesIO()
    with make(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def _read(data: bytes, columns: Collection[str] | None = None) -> tuple[list[pa.RecordBatch], str]:
    batches: list[pa.RecordBatch] = []
    try:
        batches.extend(arrow.read_batches(pa.BufferReader(data), columns))
    except ShardUnreadable as error:
        return batches, str(error)
    return batches, ""


@FORMATS
@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_all_rows_are_read_in_order_from_a_buffer_and_from_a_python_file(make: Make, codec: str | None) -> None:
    table = _table()
    data = _bytes(make, table, compression=codec)
    for file in (pa.BufferReader(data), pa.PythonFile(io.BytesIO(data), "r")):
        assert arrow.read_schema(file).equals(table.schema, check_metadata=True)
        assert pa.Table.from_batches(arrow.read_batches(file, None)).equals(table)


@FORMATS
def test_only_the_columns_asked_for_are_given_and_absent_ones_are_ignored(make: Make) -> None:
    batches, fault = _read(_bytes(make, _table()), ["score", "caption", "nowhere"])
    assert (batches[0].schema.names, fault) == (["caption", "score"], "")
    batches, fault = _read(_bytes(make, _table()), ["nowhere"])
    assert ([batch.num_rows for batch in batches], batches[0].schema.names, fault) == ([10, 10, 10], [], "")


@FORMATS
def test_a_large_batch_is_given_in_slices(make: Make) -> None:
    batches, _ = _read(_bytes(make, pa.table({"n": range(2_500)}), rows=2_500))
    assert [batch.num_rows for batch in batches] == [1_024, 1_024, 452]
    for type_ in (pa.binary(), pa.large_binary(), pa.binary_view()):
        heavy = pa.table({"image": pa.array([bytes(20_000_000)] * 7, type_)})
        batches, _ = _read(_bytes(make, heavy, rows=7))
        assert [batch.num_rows for batch in batches] == [2, 3, 2]


def test_any_type_of_column_is_sliced() -> None:
    types = [pa.null(), pa.bool_(), pa.string_view(), pa.list_(pa.string_view()), pa.large_list_view(pa.string())]
    types += [pa.uuid(), pa.struct({"json": pa.json_()}), pa.dense_union([pa.field("a", pa.int8())]), pa.duration("s")]
    types += [
        pa.run_end_encoded(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.string()),
        pa.list_(pa.int8(), 2),
    ]
    batch = pa.record_batch([pa.nulls(1_030, type_) for type_ in types], names=[str(type_) for type_ in types])
    batches, fault = _read(_bytes(pa.ipc.new_stream, pa.Table.from_batches([batch]), rows=1_030))
    assert ([given.num_rows for given in batches], fault) == ([1_024, 6], "")


def test_a_single_row_may_be_heavier_than_a_batch() -> None:
    batches, _ = _read(_bytes(pa.ipc.new_stream, pa.table({"image": [bytes(70_000_000)] * 2})))
    assert [batch.num_rows for batch in batches] == [1, 1]


@FORMATS
def test_dictionary_columns_with_deltas_are_read(make: Make) -> None:
    sink = io.BytesIO()
    type_ = pa.dictionary(pa.int8(), pa.string())
    chunks = [
        pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), ["a", "b"]),
        pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int8()), ["a", "b", "c"]),
    ]
    with make(sink, pa.schema({"kind": type_}), options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as writer:
        for chunk in chunks:
            writer.write_batch(pa.record_batch([chunk], names=["kind"]))
    batches, fault = _read(sink.getvalue())
    assert ([batch["kind"].to_pylist() for batch in batches], fault) == ([["a", "b"], ["c", "a"]], "")


@FORMATS
def test_a_shard_cut_anywhere_gives_the_batches_before_the_cut(make: Make) -> None:
    table = _table()
    data = _bytes(make, table)
    before = 0
    for length in range(len(data)):
        batches, fault = _read(data[:length])
        rows = sum(batch.num_rows for batch in batches)
        assert fault
        assert rows >= before
        assert not batches or pa.Table.from_batches(batches).equals(table[:rows])
        before = rows
    assert before == 30


def test_what_lies_behind_the_end_of_a_stream_is_told() -> None:
    data = _bytes(pa.ipc.new_stream, _table())
    batches, fault = _read(data + data)
    assert len(batches) == 3
    assert fault == f"an end-of-stream marker at byte {len(data):,} of {2 * len(data):,}; expected it to be the last"


def test_a_stream_without_its_end_is_cut_short() -> None:
    batches, fault = _read(_bytes(pa.ipc.new_stream, _table())[:-8])
    assert len(batches) == 3
    assert fault.startswith("cut short: no end-of-stream marker in ")


def test_a_file_with_a_damaged_footer_is_read_without_it() -> None:
    data = bytearray(_bytes(pa.ipc.new_file, _table()))
    data[-60:-12] = bytes(48)
    batches, fault = _read(bytes(data))
    assert len(batches) == 3
    assert "3 record batches were read without it" in fault or "record batches; its footer counts" in fault
    batches, fault = _read(bytes(data[:-6]))
    assert (len(batches), fault.endswith("3 record batches were read without it")) == (3, True)


def test_a_batch_whose_offsets_lie_is_not_given_and_those_before_it_are() -> None:
    data = bytearray(_bytes(pa.ipc.new_stream, pa.table({"caption": ["abc", "defg", "hi", "jklm"]}), rows=2))
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 2, 6))
    data[data.index(offsets) + 4] = 99
    batches, fault = _read(bytes(data))
    assert [batch["caption"].to_pylist() for batch in batches] == [["abc", "defg"]]
    assert "offset" in fault.lower()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        lambda text: text.view(pa.string()).dictionary_encode(),
        lambda text: pa.StructArray.from_arrays([text], ["text"]),
        lambda text: pa.ListArray.from_arrays([0, 1, 2, 3], text),
        lambda text: pa.MapArray.from_arrays([0, 1, 2, 3], pa.array(["k"] * 3), text),
    ],
)
def test_text_that_is_no_utf_8_is_handed_on_as_it_is(wrap: Callable[[pa.Array], pa.Array]) -> None:
    text = pa.array([b"good", b"\xff\xfe bad", None], pa.binary()).view(pa.string())
    sink = io.BytesIO()
    batch = pa.record_batch([wrap(text)], names=["caption"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    batches, fault = _read(sink.getvalue())
    assert ([given.num_rows for given in batches], fault) == ([3], "")
    assert batches[0].equals(batch)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "zero bytes long"),
        (b"\0" * 600, "found zeros"),
        (b"PAR1" + bytes(100), "found a Parquet file"),
        (b"<html>not found</html>\n", "found text, '<html>not found</html>\\\\n'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer, not the file it stands for"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "found a JPEG picture"),
        (b"\x01\x02\x03", "found the bytes 01 02 03"),
    ],
)
def test_a_file_of_another_kind_is_named(data: bytes, found: str) -> None:
    told = f"^{found}; expected an Arrow IPC stream or file$"
    with pytest.raises(ShardUnreadable, match=told):
        arrow.read_schema(pa.BufferReader(data))
    with pytest.raises(ShardUnreadable, match=told):
        list(arrow.read_batches(pa.BufferReader(data), None))


class _Failing(io.BytesIO):
    fault: OSError

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 2_000:
            raise self.fault
        return super().read(size)


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), ConnectionError("dropped")])
def test_a_fault_that_may_pass_is_no_damage(fault: OSError) -> None:
    file = _Failing(_bytes(pa.ipc.new_stream, _table(200)))
    file.fault = fault
    with pytest.raises(type(fault)):
        list(arrow.read_batches(pa.PythonFile(file, "r"), None))


@FORMATS
def test_rows_are_found_where_they_lie_and_are_views_of_the_file(make: Make) -> None:
    table = _table()
    data = pa.py_buffer(_bytes(make, table))
    file = pa.BufferReader(data)
    assert arrow.locate(file, 11).starts.tolist() == [0, 10, 20]
    located = arrow.locate(file, 30)
    assert located.starts.tolist() == [0, 10, 20, 30]
    for start, offset in reversed(list(zip(located.starts[:-1].tolist(), located.offsets.tolist(), strict=True))):
        batch = arrow.read_at(file, offset, table.schema)
        assert pa.Table.from_batches([batch]).equals(table.slice(start, 10))
        for buffer in batch.column(1).buffers()[1:]:
            assert data.address < buffer.address < data.address + data.size
    with pytest.raises(ShardUnreadable, match="no row 30; found 30 rows"):
        arrow.locate(file, 31)


@FORMATS
def test_rows_that_have_to_be_decoded_lie_nowhere(make: Make) -> None:
    table = _table()
    assert arrow.locate(pa.BufferReader(_bytes(make, table, compression="zstd")), 30) is None
    encoded = table.append_column("kind", pa.array(["port"] * 30).dictionary_encode())
    assert arrow.locate(pa.BufferReader(_bytes(make, encoded)), 30) is None


def test_a_batch_whose_offsets_lie_is_not_located() -> None:
    data = bytearray(_bytes(pa.ipc.new_stream, pa.table({"caption": ["abc", "defg", "hi", "jklm"]}), rows=2))
    data[data.index(b"".join(n.to_bytes(4, "little") for n in (0, 2, 6))) + 4] = 99
    assert arrow.locate(pa.BufferReader(bytes(data)), 2).starts.tolist() == [0, 2]
    with pytest.raises(ShardUnreadable, match=r"(?i)offset"):
        arrow.locate(pa.BufferReader(bytes(data)), 3)
