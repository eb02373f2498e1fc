import hashlib
import io
import os
from pathlib import Path

import pytest

from tasks.write import sink as module
from tasks.write.sink import Sink


def test_all_that_was_written_is_in_the_file_and_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(module, "_FLUSHED_BYTES", 1000)
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append((tmp_path / "file").stat().st_size))
    pieces = [bytes([number]) * number for number in range(200)]
    with Sink(tmp_path / "file") as sink:
        for piece in pieces:
            assert sink.write(memoryview(piece)) == len(piece)
    data = b"".join(pieces)
    assert (tmp_path / "file").read_bytes() == data
    assert (sink.tell(), sink.sha256()) == (len(data), hashlib.sha256(data).hexdigest())
    assert len(flushed) > 2
    assert flushed[-1] == len(data)


def test_what_the_system_takes_in_parts_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(io.FileIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]
            return super().write(data[:3])

    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Slow(path, "wb"))
    with Sink(tmp_path / "file") as sink:
        sink.write(b"0123456789")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_disk_that_does_not_take_what_was_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_FLUSHED_BYTES", 1)
    monkeypatch.setattr(os, "fsync", full)
    sink = Sink(tmp_path / "file")
    sink.write(b"some")
    with pytest.raises(OSError, match="No space left"):
        sink.close()
    assert sink.closed
