"""One run at a time where two would mix: a folder held by one run, a piece of work claimed by one process.

On a file system the kernel keeps the locks, and they end with the process, however it ends. An object store has none:
there an object names the holder, who renews it; one that is not renewed any more holds nothing. No clock is compared
with another.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from upath import UPath

from schemas.errors import CurationError
from tasks.files import is_local

_T = TypeVar("_T")
_U = TypeVar("_U")

RENEWED_EVERY_S = 10.0
GIVEN_UP_AFTER_S = 45.0
"""A lease that is not renewed for so long is one of a process that was killed, or cut off from the store [s]."""

_LOOK_AGAIN_S = 1.0
_LOCK = ".lock"


class DirectoryBusy(CurationError):
    """Another run is writing there."""


class LeaseLost(CurationError):
    """This run was taken for dead, and another one writes there now."""


class Held:
    """What a run that holds a folder can ask."""

    def check(self) -> None:
        """Make sure that the folder is still held, before something is done that cannot be undone.

        Raises:
            LeaseLost: if it is not.
        """


@contextmanager
def exclusive(directory: UPath, run: str, *, wait: bool = False) -> Iterator[Held]:
    """Hold ``directory`` for the length of a ``with`` block.

    Args:
        directory: the folder, which is there.
        run: what to call the holder in the error of another one.
        wait: whether to wait for the end of another run that holds it.

    Raises:
        DirectoryBusy: if another run holds it, and ``wait`` is false; the message says which.
    """
    holder = f"{run} (process {os.getpid()} on {socket.gethostname()})"
    with ExitStack() as holding:
        while True:
            hold = _flocked(directory, holder) if is_local(directory) else _leased(directory / _LOCK, holder)
            try:
                held = holding.enter_context(hold)
                break
            except DirectoryBusy:
                if not wait:
                    raise
            time.sleep(_LOOK_AGAIN_S)
        yield held


@contextmanager
def _flocked(directory: UPath, holder: str) -> Iterator[Held]:
    descriptor = os.open(str(directory / _LOCK), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(directory, os.pread(descriptor, 1000, 0).decode(errors="replace")) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        yield Held()
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _busy(directory: UPath, holder: str) -> DirectoryBusy:
    told = f"{directory}: another run is writing there: {holder or 'one that just began'}"
    return DirectoryBusy(f"{told}; run this again when it has ended")


class _Lease(Held):
    """An object that says who holds a folder of an object store."""

    def __init__(self, path: UPath, holder: str):
        self._path = path
        self._holder = holder
        self._token = uuid4().hex
        self._times = 0
        self._lost = False
        self._end = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_the_end, daemon=True)

    def take(self) -> None:
        """Take the lease, or that of a holder who does not renew it.

        Raises:
            DirectoryBusy: if its holder does.
        """
        while not self._create():
            found = self._read()
            if found is None:
                continue
            deadline = time.monotonic() + GIVEN_UP_AFTER_S
            while (now := self._read()) == found:
                if time.monotonic() > deadline:
                    with suppress(FileNotFoundError):
                        self._path.unlink()
                    break
                time.sleep(RENEWED_EVERY_S / 10)
            else:
                if now is not None:
                    raise _busy(self._path.parent, str(now.get("holder", "")))
        self._renewer.start()

    def check(self) -> None:
        """Make sure that no other run took the lease."""
        found = self._read()
        if self._lost or found is None or found.get("token") != self._token:
            self._lost = True
            other = (found or {}).get("holder", "one that has ended")
            raise LeaseLost(f"{self._path.parent}: not held by this run any more, but taken over by {other}")

    def release(self) -> None:
        """End the lease."""
        self._end.set()
        self._renewer.join()
        with suppress(OSError, LeaseLost):
            self.check()
            self._path.unlink()

    def _create(self) -> bool:
        try:
            self._path.fs.pipe_file(self._path.path, self._text(), mode="create")
        except FileExistsError:
            return False
        return True

    def _read(self) -> dict[str, Any] | None:
        try:
            # Not UPath's: the file system may have the object in a cache.
            found = json.loads(self._path.fs.cat_file(self._path.path))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _text(self) -> bytes:
        return json.dumps({"holder": self._holder, "token": self._token, "renewed": self._times}).encode()

    def _renew_until_the_end(self) -> None:
        while not self._end.wait(RENEWED_EVERY_S):
            with suppress(OSError):  # the store is not there for a while: the next time
                try:
                    self.check()
                except LeaseLost:
                    return
                self._times += 1
                self._path.fs.pipe_file(self._path.path, self._text())


@contextmanager
def _leased(path: UPath, holder: str) -> Iterator[Held]:
    lease = _Lease(path, holder)
    lease.take()
    try:
        yield lease
    finally:
        lease.release()


class Claimed(Exception):
    """Another process does this work now."""


@contextmanager
def claimed(workspace: UPath, work: str, *, wait: bool) -> Iterator[None]:
    """Claim a piece of work in ``workspace`` for the length of a ``with`` block; other processes let it be, or wait.

    It spares two runs the same work; what they make would be the same. On an object store nothing is claimed.

    Args:
        workspace: a folder that all these processes share.
        work: what names the piece.
        wait: whether to wait until another process is done with it.

    Raises:
        Claimed: if another process has claimed it, and ``wait`` is false.
    """
    if not is_local(workspace):
        yield
        return
    folder = Path(str(workspace))
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".claims", os.O_RDWR | os.O_CREAT, 0o666)
    place = int.from_bytes(blake2b(work.encode(), digest_size=7).digest())  # a byte of the file stands for the piece
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError) as error:
            raise Claimed(work) from error
        yield
    finally:
        os.close(descriptor)


def claimed_last(items: Sequence[_T], work: Callable[[_T, bool], _U]) -> tuple[_U, ...]:
    """Return what ``work`` makes of each of ``items``, in their order; what another process does now comes last.

    ``work`` is given an item and whether to wait for another process, and raises :class:`Claimed` if it need not. When
    it is to wait, the other process is mostly done.
    """
    made: dict[int, _U] = {}
    for wait in (False, True):
        for number, item in enumerate(items):
            if number not in made:
                with suppress(Claimed):
                    made[number] = work(item, wait)
    return tuple(made[number] for number in range(len(items)))
