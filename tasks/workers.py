"""Worker processes: a stage's functions run here, watched by the flow; one that crashes or hangs costs one call."""

import fcntl
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn, ParamSpec, Protocol, TypeVar, cast

from schemas.errors import CurationError
from tasks.beat import Beat, Told, decoding, listener, tell_by

_P = ParamSpec("_P")
_T = TypeVar("_T")

# "spawn" inherits neither locks held by the flow's threads nor its memory.
_SPAWN = multiprocessing.get_context("spawn")
_PROCESS_TABLE = threading.Lock()  # multiprocessing reaps children whenever it starts one, and loses their exit status
_LONGEST_LOOK_S = 1.0  # the supervisor looks at a decoder this often, or an eighth of the decoder's limit [s]
_FIRST_LOOK_S = 0.05
_GRACE_S = 5.0  # for a process to vanish: one with open files on a stalled network share may take for ever [s]


class WorkerLost(CurationError):
    """A worker process ended without a result: killed, crashed, or stopped because a decoder ran too long."""

    def __init__(self, message: str, *, cause: str = "", row: int | None = None, overran: bool = False):
        super().__init__(message)
        self.cause = cause
        """How it ended: a signal's name, or an exit status."""
        self.row = row
        """The row whose decoder was running, as told to :func:`tasks.beat.decoding`; None if none was."""
        self.overran = overran
        """True when the decoder had run longer than its limit, and was stopped for that."""


class WorkersClosed(CurationError):
    """The pool was closed while, or before, a call was made."""


class Worker:
    """One worker process: it runs one call after the other until it is lost or ended. For one thread at a time."""

    def __init__(self) -> None:
        self._connection, theirs = _SPAWN.Pipe()
        self._told = Told.shared(_SPAWN)
        # A process of somebody's pool, such as Dask's, is told to have no children. It may: they end with it.
        multiprocessing.current_process().daemon = False
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self._told), daemon=True)
        with _PROCESS_TABLE:
            self._process.start()
        theirs.close()  # the process has its own: when it dies, reading from it ends
        self._ended = False

    @property
    def alive(self) -> bool:
        """False once the process is lost or ended."""
        return not self._ended and not wait([self._process.sentinel], 0)

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` in the process and return its result; its exceptions are raised here.

        Raises:
            WorkerLost: if the process ended without a result; it does not come back.
        """
        job = ForkingPickler.dumps((function, args, kwargs))  # raises before anything is sent
        overrun = None
        self._told.done.value = 0
        try:
            self._connection.send_bytes(job)
            overrun = self._overrun()
            answer = None if overrun else self._connection.recv_bytes()
        except (EOFError, OSError):
            answer = None
        except BaseException:  # Ctrl-C in this thread: the process is busy with a call that nobody waits for
            self.end()
            raise
        if answer is None:
            raise self._lost(_name(function), overrun)
        returned, value = pickle.loads(answer)
        if not returned:
            _raise(*value)
        return cast("_T", value)

    def kill(self) -> None:
        """Have the process end, whatever it does; do not wait for it."""
        self._ended = True
        with _PROCESS_TABLE:
            self._process.kill()

    def end(self) -> int | None:
        """End the process, whatever it does; return its exit status, negative for a signal, None if it stays."""
        self.kill()
        return self._reap()

    def _reap(self) -> int | None:
        gone = bool(wait([self._process.sentinel], _GRACE_S))
        with _PROCESS_TABLE:
            self._process.join(None if gone else 0)
            return self._process.exitcode

    def _overrun(self) -> Beat | None:
        """Wait for the answer or the end of the process, and return None; or return a decoder that runs too long.

        Meanwhile, who is :func:`tasks.beat.hearing` hears how far the call is.
        """
        look, spent, last = _FIRST_LOOK_S, 0.0, Beat()
        heard, rows = listener(), 0
        while not wait([self._connection, self._process.sentinel], look):
            if heard and (done := self._told.rows) != rows:
                heard(done)
                rows = done
            beat = self._told.beat
            # Looks are counted, not the clock: a machine that slept, or a run stopped by Ctrl-Z, is no slow decoder.
            spent = spent + look if beat == last else 0.0
            if spent > 0 and spent >= beat.seconds:
                return beat
            look, last = max(_FIRST_LOOK_S, min(2 * look, beat.seconds / 8, _LONGEST_LOOK_S)), beat
        return None

    def _lost(self, name: str, overrun: Beat | None) -> WorkerLost:
        if not overrun:
            self._reap()  # it ended by itself, and its own status tells how
        cause = _in_words(self.end())
        beat = overrun or self._told.beat
        row = int(beat.row) if beat.row >= 0 else None
        at = name if row is None else f"{name}, decoding row {row}"
        if overrun:
            message = f"a worker process was stopped while it ran {at}: the decoder ran longer than {beat.seconds:g} s"
        else:
            message = f"a worker process ended while it ran {at}: {cause}"
        return WorkerLost(message, cause=cause, row=row, overran=overrun is not None)


class Pool(Protocol):
    """What runs a plain function for a thread of the flow, and waits for its result."""

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` and return its result; its exceptions are raised here."""
        ...


class SameProcess:
    """No pool: calls run where they are made. For places that only this process sees, such as ``memory://``."""

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` and return its result."""
        return function(*args, **kwargs)


class Workers:
    """A pool of worker processes; threads of the flow call :meth:`run` at the same time, each waiting for its own."""

    def __init__(self, count: int):
        self.count = count
        self._free = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._all: set[Worker] = set()
        self._idle: list[Worker] = []
        self._closed = False

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` in a worker process and return its result; its exceptions are raised here.

        A process that is lost costs this one call; another takes its place at the next.

        Raises:
            WorkerLost: if the process ended without a result, or was stopped for a decoder that ran too long.
            WorkersClosed: if the pool was closed before the call was done.
        """
        with self._free:
            worker = self._take()
            try:
                return worker.call(function, *args, **kwargs)
            except WorkerLost as lost:
                if self._closed:
                    raise WorkersClosed(f"the workers were closed while one ran {_name(function)}") from lost
                raise
            finally:
                self._put_back(worker)

    def close(self) -> None:
        """End the processes, idle or busy; calls that wait for one raise :class:`WorkersClosed`."""
        with self._lock:
            self._closed = True
            ended = list(self._all)
        for worker in ended:
            worker.kill()
        for worker in ended:
            worker.end()

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise WorkersClosed("the workers are closed")
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._all.remove(worker)
            worker = Worker()
            self._all.add(worker)
            return worker

    def _put_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive:
                self._idle.append(worker)
            else:
                self._all.remove(worker)


_HERE = Workers(os.cpu_count() or 1)
"""This process's own workers, for task runs that an engine brought here; they start at the first call."""


class OwnWorkers:
    """A pool that travels: wherever a task run takes it, calls run in workers of that process."""

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call ``function`` and return its result; arguments and errors as for :meth:`Workers.run`."""
        return _HERE.run(function, *args, **kwargs)


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Open a pool of ``count`` processes for the length of a ``with`` block."""
    pool = Workers(count)
    try:
        yield pool
    finally:
        pool.close()


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", str(function))


def _in_words(status: int | None) -> str:
    if status is None:
        return "it does not end"
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        name = signal.Signals(-status).name
        return f"{name} (from outside; the system does so when memory runs out)" if name == "SIGKILL" else name
    return f"signal {-status}"


class _RemoteTraceback(Exception):
    """The traceback of an exception in a worker process, as text: it is the cause of the exception here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _raise(pickled: bytes | None, text: str) -> NoReturn:
    error: BaseException | None = None
    if pickled is not None:
        with suppress(Exception):  # an exception may refuse to be built again from what it pickled
            error = pickle.loads(pickled)
    if error is None:
        error = RuntimeError(text.rstrip().rsplit("\n", 1)[-1])
    raise error from _RemoteTraceback(text)


def _serve(connection: Connection, told: Told) -> None:
    """Run in a worker process: answer calls until the other side is closed."""
    tell_by(told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the flow decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv_bytes()
        except (EOFError, OSError):
            return
        answer = _answer(job)
        decoding(None)  # whatever the function forgot: the next call starts unwatched
        connection.send_bytes(answer)


def _answer(job: bytes) -> Any:
    try:
        function, args, kwargs = pickle.loads(job)
        return ForkingPickler.dumps((True, function(*args, **kwargs)))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        pickled = None
        with suppress(Exception):
            pickled = bytes(ForkingPickler.dumps(error))
        return ForkingPickler.dumps((False, (pickled, text)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        # A decoder that hangs may give this thread no turn: let the pipe, when it closes, end the process (by SIGIO).
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    parent.join()
    os._exit(1)  # the flow was killed: nothing waits for this result, and files appear only when whole
