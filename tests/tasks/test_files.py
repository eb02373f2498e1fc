import subprocess
import sys
from pathlib import Path

import pytest
import xxhash

from tasks.files import appearing, ensure_writable, sha256_of, sweep, write_text, xxh3_of


def fail_half_way(path: Path) -> None:
    with appearing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with pytest.raises(RuntimeError):
        fail_half_way(path)
    assert list(path.parent.iterdir()) == []
    write_text(path, "whole")
    with pytest.raises(RuntimeError):
        fail_half_way(path)
    assert [(path.name, path.read_text()) for path in path.parent.iterdir()] == [("file", "whole")]


def test_sweep_removes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    left = tmp_path / f".data.parquet.{dead.pid}-0123abcd.tmp"
    left.touch()
    (tmp_path / ".mine.tmp").touch()
    with appearing(tmp_path / "file") as living:
        living.touch()
        sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".mine.tmp", living.name])


def test_digests_are_the_published_ones(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert sha256_of(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert xxh3_of(path) == "99aa06d3014798d86001c324468d497f"
    path.write_bytes(b"x" * 3_000_001)
    assert xxh3_of(path) == xxhash.xxh3_128_hexdigest(b"x" * 3_000_001)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write there: Not a directory: .*file/folder"):
        ensure_writable(tmp_path / "file" / "folder")
    ensure_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
