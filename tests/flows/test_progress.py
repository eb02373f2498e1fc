"""Progress as a person sees it: a real terminal of 80 columns, which a process of its own writes to."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

WIDTH = 80

STAGES = """
import time
from flows import progress
from flows.progress import stage

with stage("scan", byte_length=4_000_000_000, items=40, done="shards are scanned") as bar:
    for _ in range(20):
        bar.advance(rows=13_300, byte_length=100_000_000)
        time.sleep(0.03)
    assert progress.so_far() == "20 of 40 shards are scanned", progress.so_far()
    for _ in range(20):
        bar.advance(rows=500_000, byte_length=100_000_000)
    time.sleep(0.15)
    bar.finish("scanned 40, reused 0 of 40 shards (10,503,567 rows)")
with stage("write a-subset-of-a-very-long-name-indeed", rows=100) as bar:
    bar.advance(rows=50)
    time.sleep(0.15)
    bar.finish("wrote 100 rows [bold]\\x1b[2J")
assert progress.so_far() == ""
with stage("deduplicate") as bar:
    time.sleep(0.15)
    bar.finish("14 pairs")
assert progress.so_far() == ""
with stage("deduplicate", items=8, done="searches are done") as bar:
    for _ in range(3):
        bar.advance()
        time.sleep(0.05)
    assert progress.so_far() == "3 of 8 searches are done", progress.so_far()
    time.sleep(0.15)
with stage("embed", rows=200, items=3, done="shards are embedded") as bar:
    bar.move("a", 30)
    bar.move("b", 20)
    time.sleep(0.15)
    bar.advance(rows=150, item="a")
    bar.move("b", 0)
    time.sleep(0.15)
    bar.advance(rows=40, item="c")
    bar.move("b", 4)
    bar.move("b", 10)
    assert progress.so_far() == "2 of 3 shards are embedded, and 10 rows more", progress.so_far()
    bar.advance(rows=10, item="b")
    time.sleep(0.15)
"""


def seen(**environment: str) -> str:
    """Return what the stages write to a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    run = subprocess.Popen(
        [sys.executable, "-c", STAGES],
        stderr=theirs,
        stdout=theirs,
        env=plain | {"TERM": "xterm-256color"} | environment,
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            data = os.read(ours, 65_536)
        except OSError:  # so a terminal says that nobody writes to it any more
            break
        if not data:
            break
        told += data
    os.close(ours)
    assert run.wait(timeout=30) == 0, told.decode()
    return told.decode()


def plain_lines(told: str) -> list[str]:
    """Return every line that was ever shown, without colours and moves."""
    return [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told)) if line.strip()]


def test_a_bar_says_rows_speeds_and_time_left_and_a_line_what_was_done() -> None:
    told = seen()
    lines = plain_lines(told)
    assert max(len(line) for line in lines if not line.startswith("✓")) <= WIDTH
    assert any(
        re.fullmatch(r"scan [━╸╺]+ +\d+% [\d,]+ rows [\d,]+ rows/s [\d.]+ GB/s \d:\d\d:\d\d *", line) for line in lines
    ), lines
    assert any(line.startswith("scan") and "10,266,000 rows" in line and "100%" in line for line in lines)
    assert any(re.match(r"write a-subset-of-a-v… ━.* 50% 50 rows", line) for line in lines), lines
    assert any(re.fullmatch(r". deduplicate 0:00:00 *", line) for line in lines), lines
    assert any(re.match(r"deduplicate ━.* 38% 3 of 8 \d:\d\d:\d\d", line) for line in lines), lines
    rows = [int(shown[1]) for line in lines if (shown := re.match(r"embed ━.* (\d+) rows ", line))]
    assert {50, 150, 200} <= set(rows), rows  # of a shard that failed none are left
    assert max(rows) == rows[-1] == 200
    done = [line for line in lines if line.startswith("✓")]
    assert re.fullmatch(r"✓ +\d\.\d s scan: scanned 40, reused 0 of 40 shards \(10,503,567 rows\)", done[0])
    assert done[1].endswith(r"write a-subset-of-a-very-long-name-indeed: wrote 100 rows [bold]\x1b[2J")
    assert re.fullmatch(r"✓ +\d\.\d s deduplicate: 14 pairs", done[2])
    assert len(done) == 3
    assert told.count("\x1b[?25l") == told.count("\x1b[?25h") > 0, "the cursor comes back"


def test_no_colour_where_none_is_wanted_and_no_bar_where_none_can_be() -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-9]|9[0-7]|38;[\d;]+)m")
    assert colour.search(seen())
    assert not colour.search(seen(NO_COLOR="1"))
    assert "\x1b" not in seen(TERM="dumb")


@pytest.mark.parametrize("quiet", ["", "from flows.progress import console; console.quiet = True\n"])
def test_nothing_is_said_where_nobody_watches(quiet: str) -> None:
    done = subprocess.run([sys.executable, "-c", quiet + STAGES], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
