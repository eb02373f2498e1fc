"""A file in the making: hashed while its bytes are hot, and flushed to disk beside the work."""

import hashlib
import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

_FLUSHED_BYTES = 2**25


class Sink(io.RawIOBase):
    """A binary file that is written from begin to end.

    The system would keep some hundred megabytes in memory until it is told to flush them, and the disk idle until then.
    """

    def __init__(self, path: Path):
        """Make the file; errors as of :func:`open`."""
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._beside = ThreadPoolExecutor(1)
        self._flush: Future[None] | None = None
        self._length = self._flushed = 0

    def write(self, data: Any) -> int:
        """Add ``data``, whole.

        Raises:
            OSError: if it cannot be written, or what came before it could not.
        """
        view = memoryview(data).cast("B")
        self._digest.update(view)
        rest = view
        while rest:  # the system may take a part
            rest = rest[self._file.write(rest) :]
        self._length += len(view)
        if self._length - self._flushed >= _FLUSHED_BYTES and (self._flush is None or self._flush.done()):
            self._wait()
            self._flushed = self._length
            self._flush = self._beside.submit(os.fsync, self._file.fileno())
        return len(view)

    def writable(self) -> bool:
        """Return true."""
        return True

    def tell(self) -> int:
        """Return how much was written [bytes]."""
        return self._length

    def sha256(self) -> str:
        """Return the SHA-256 of all that was written, in hex."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Flush what is not on the disk yet, and close the file; errors as of :meth:`write`."""
        if self.closed:
            return
        try:
            self._wait()
            os.fsync(self._file.fileno())
        finally:
            self._beside.shutdown()
            self._file.close()
            super().close()

    def _wait(self) -> None:
        if self._flush is not None:
            self._flush.result()
            self._flush = None
