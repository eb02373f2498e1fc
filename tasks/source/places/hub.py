"""Data sets of the Hugging Face Hub: a revision resolved, files listed and read, through the Hub's own client.

The address of the Hub is ``HF_ENDPOINT``, the token ``HF_TOKEN`` or the one that ``hf auth login`` stored: both are
read by the client, at each call, and are in no recipe and no message.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote, unquote

import huggingface_hub as hf  # which loads its parts when they are first asked for: all take a quarter of a second

from schemas.errors import CurationError
from tasks.source.places.patience import ATTEMPTS_AT_START, PassingFault, patiently
from tasks.source.shards import ShardUnreadable, SourceError

if TYPE_CHECKING:
    import httpx2

_ADDRESS = re.compile(
    r"hf://datasets/(?P<dataset_id>[\w.-]+/[\w.-]+)(@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(/(?P<path>.*))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PASSING = {408, 429, 500, 502, 503, 504}


class Address(NamedTuple):
    """Where something lies on the Hub."""

    dataset_id: str
    revision: str | None
    path: str  # relative to the data set, with forward slashes; empty for the data set itself


def split_url(url: str) -> Address:
    """Return the parts of ``hf://datasets/<owner>/<name>[@<revision>][/<path>]``.

    Raises:
        SourceError: if it is another kind of URL.

    >>> split_url("hf://datasets/lcybuaa/Git-10M@main/train/state.json")
    Address(dataset_id='lcybuaa/Git-10M', revision='main', path='train/state.json')
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise SourceError(f"{url}: expected hf://datasets/<owner>/<name>[@<revision>][/<path>]")
    revision = match["revision"]
    return Address(match["dataset_id"], unquote(revision) if revision else None, (match["path"] or "").strip("/"))


def join_url(address: Address) -> str:
    """Return the URL that :func:`split_url` takes apart."""
    revision = "" if address.revision is None else f"@{quote(address.revision, safe='')}"
    return f"hf://datasets/{address.dataset_id}{revision}" + (f"/{address.path}" if address.path else "")


RepoType = Literal["dataset", "model"]

_REPO_WORDS: dict[RepoType, str] = {"dataset": "data set", "model": "model"}


def resolve(repo_id: str, revision: str | None, repo_type: RepoType = "dataset") -> str:
    """Return the commit, 40 hex digits, that a branch, tag or (abbreviated) commit stands for; None stands for main.

    Raises:
        SourceError: if there is no such data set, or model, or revision, it may not be read, or the Hub cannot be
            reached.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision  # is what it stands for; whether it is there, its listing tells

    def ask() -> str:
        with _told(repo_id, revision, SourceError, repo_type):
            found = hf.HfApi(endpoint=endpoint()).repo_info(
                repo_id, revision=revision, repo_type=repo_type, timeout=hf.constants.HF_HUB_DOWNLOAD_TIMEOUT
            )
        if found.sha is None:
            raise SourceError(f"{repo_id}: {endpoint()} names no commit; expected a Hub that keeps revisions")
        return found.sha

    try:
        return patiently(ask, ATTEMPTS_AT_START)
    except PassingFault as fault:
        raise SourceError(f"{fault}; expected {endpoint()} to answer: is the network up?") from fault


def list_files(dataset_id: str, commit: str) -> list[tuple[str, int, str]]:
    """Return path, size [bytes] and version of every file at a commit; the version is a digest of the content.

    A version is ``sha256:<hex>`` for a file in large-file storage and ``git:<hex>``, its git blob id, for others.

    Raises:
        SourceError: as :func:`resolve`.
        PassingFault: if the Hub does not answer; the client has tried several times then.
    """
    with _told(dataset_id, commit, SourceError):
        entries = hf.HfApi(endpoint=endpoint()).list_repo_tree(
            dataset_id, recursive=True, revision=commit, repo_type="dataset"
        )
        return [
            (entry.path, entry.size, f"sha256:{entry.lfs.sha256}" if entry.lfs else f"git:{entry.blob_id}")
            for entry in entries
            if isinstance(entry, hf.hf_api.RepoFile)
        ]


def read(url: str) -> bytes:
    """Return a whole small file.

    Raises:
        ShardUnreadable: if it is not there or may not be read.
        PassingFault: if the Hub does not answer for minutes.
    """
    return patiently(lambda: b"".join(chunks(url, 0)))


def chunks(url: str, start: int) -> Iterator[bytes]:
    """Yield a file's bytes from ``start`` on, as they come.

    They come by plain HTTP, and not from the content-addressed store behind large files, whose client keeps a cache
    of its own outside our limit and writes out of order, so that what a killed process leaves cannot be resumed.

    Raises:
        ShardUnreadable: if the file is not there or may not be read.
        PassingFault: if the connection broke, or the Hub asks to come back later. Nothing is retried here.
    """
    address = split_url(url)
    place = hf.hf_hub_url(
        address.dataset_id, address.path, repo_type="dataset", revision=address.revision, endpoint=endpoint()
    )
    headers = hf.utils.build_hf_headers() | {"Accept-Encoding": "identity"}  # type: ignore[attr-defined]  # a lazy module
    if start:
        headers["Range"] = f"bytes={start}-"
    with (
        _told(url, address.revision, ShardUnreadable),
        hf.get_session().stream(
            "GET", place, headers=headers, timeout=hf.constants.HF_HUB_DOWNLOAD_TIMEOUT
        ) as response,
    ):
        hf.hf_raise_for_status(response)
        to_skip = 0 if response.status_code == HTTPStatus.PARTIAL_CONTENT else start  # a proxy may drop the range
        for chunk in response.iter_bytes():
            yield chunk[to_skip:]
            to_skip = max(0, to_skip - len(chunk))


def endpoint() -> str:
    """Return the address of the Hub."""
    return (os.environ.get("HF_ENDPOINT") or hf.constants.ENDPOINT).rstrip("/")


@contextmanager
def _told(
    what: str, revision: str | None, kind: type[CurationError], repo_type: RepoType = "dataset"
) -> Iterator[None]:
    """Turn the client's errors into ours: ``kind`` for what stays wrong, PassingFault for what may pass."""
    import httpx2

    try:
        yield
    except hf.errors.GatedRepoError as error:
        folder = "datasets/" if repo_type == "dataset" else ""
        page = f"{endpoint()}/{folder}{_dataset_id(what)}"
        raise kind(f"{what}: gated: accept its terms at {page}, {_with_token()}") from error
    except hf.errors.RepositoryNotFoundError as error:
        named = _REPO_WORDS[repo_type]
        raise kind(f"{what}: no such {named}, or a private one: check the name, {_with_token()}") from error
    except hf.errors.RevisionNotFoundError as error:
        expected = f"a branch, tag or commit of the {_REPO_WORDS[repo_type]}"
        raise kind(f"{what}: no revision {revision!r}; expected {expected}") from error
    except hf.errors.RemoteEntryNotFoundError as error:
        raise kind(f"{what}: no such file there") from error
    except hf.errors.HFValidationError as error:
        raise kind(f"{what}: {error}") from error
    except hf.errors.OfflineModeIsEnabled as error:
        raise kind(f"{what}: not asked, because HF_HUB_OFFLINE is set; unset it") from error
    except hf.errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in _PASSING:
            raise PassingFault(f"{what}: the Hub answered {status}", _asked_pause_s(error.response)) from error
        raise kind(f"{what}: the Hub answered {status}: {error.server_message or 'no reason given'}") from error
    except (httpx2.TransportError, httpx2.StreamError) as error:
        raise PassingFault(f"{what}: {type(error).__name__}: {error}") from error


def _dataset_id(what: str) -> str:
    return split_url(what).dataset_id if what.startswith("hf://") else what


def _with_token() -> str:
    return "and use a token that may read it" if hf.get_token() else "and set HF_TOKEN to a token that may read it"


def _asked_pause_s(response: "httpx2.Response") -> float | None:
    asked = response.headers.get("Retry-After", "")
    if asked.isdigit():
        return float(asked)
    limit = hf.utils.parse_ratelimit_headers(response.headers)  # type: ignore[attr-defined]
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None
