"""Files of a subset to a data set of the Hugging Face Hub: content first, then all of it in one commit.

Large files are sent a few at a time, to storage that knows them by their digest, and nobody sees them there. One commit
then shows them all and removes what only the former version had, so that a reader sees the one version or the other. A
run that was interrupted is run again: what has arrived is not sent a second time.

The token is the user's own, ``HF_TOKEN`` or the one that ``hf auth login`` stored. It is read by the Hub's client, and
is in no file and no message.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # a lazy module, declares no exports

from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from tasks.files import sha256_of
from tasks.published import MANIFEST
from tasks.source.places.hub import Address, endpoint, join_url, list_files, read
from tasks.source.shards import ShardUnreadable
from tasks.upload.permission import UploadRefused

_TOGETHER = 5  # large files that are sent at the same time; as many are sent again, at most, after a crash
_SHOWN = 5  # paths named in a message
_DATA_SET = "dataset"


class UploadFailed(UploadRefused):
    """The Hub did not take what was sent, or could not be reached."""


class Uploaded(NamedTuple):
    """What the Hub holds now."""

    url: str
    commit: str
    created: bool  # the data set is new
    private: bool
    sent: tuple[str, ...]  # paths of files that were not there, or others
    removed: tuple[str, ...]  # paths of files of the former version


class _File(NamedTuple):
    path: str  # relative to the subset's folder, with forward slashes
    local: Path
    byte_length: int
    sha256: str

    def same_as(self, version: str | None) -> bool:
        """Return whether ``version``, as :func:`list_files` tells it, is this file's."""
        if version is None or not version.startswith("git:"):
            return version == f"sha256:{self.sha256}"
        content = self.local.read_bytes()  # small, or it were in large-file storage
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return version == f"git:{blob}" and hashlib.sha256(content).hexdigest() == self.sha256


def check_id(hub_id: str) -> None:
    """Raise :class:`UploadRefused` if ``hub_id`` cannot be the id of a data set: owner/name."""
    try:
        validate_repo_id(hub_id)
    except HFValidationError as error:
        raise UploadRefused(f"{hub_id}: found no id of a data set, expected owner/name: {error}") from error
    if hub_id.count("/") != 1:
        raise UploadRefused(f"{hub_id}: found no owner, expected owner/name")


def page(hub_id: str) -> str:
    """Return the address of a data set's page."""
    return f"{endpoint()}/datasets/{hub_id}"


def upload(
    folder: Path,
    manifest: Manifest,
    hub_id: str,
    *,
    public: bool,
    done: Callable[[int], None] = lambda byte_length: None,
) -> Uploaded:
    """Make the files of ``manifest``, and it itself, the newest version of the data set ``hub_id``.

    Args:
        folder: the subset, or its index form.
        manifest: what lies in ``folder``.
        hub_id: the data set, made if it is missing.
        public: whether it may be one that everybody can read; a new one is then made so.
        done: called with the bytes of files that have arrived, or had.

    Raises:
        UploadRefused: if there is no token, the data set holds files of others in the way, or everybody can read it
            and ``public`` is not set. Nothing was sent then.
        UploadFailed: if the Hub refuses, or cannot be reached; run it again, and it goes on where it was.
    """
    check_id(hub_id)
    token = get_token()
    if token is None:
        raise UploadRefused("no token: run `hf auth login`, or set HF_TOKEN to a token that may write")
    api = HfApi(endpoint=endpoint(), token=token)
    files = _files(folder, manifest)
    with _told(hub_id):
        head, created, private = _open_data_set(api, hub_id, public=public)
        there = {path: version for path, _, version in list_files(hub_id, head)}
    former = _former_version(hub_id, head, there, manifest)
    _refuse_to_overwrite(hub_id, there.keys() - former, {file.path for file in files})
    removed = sorted((former & there.keys()) - {file.path for file in files})
    waiting = [file for file in files if not file.same_as(there.get(file.path))]
    done(sum(file.byte_length for file in files) - sum(file.byte_length for file in waiting))
    commit = head
    if waiting or removed:
        with _told(hub_id):
            operations: list[CommitOperationAdd] = []
            for first in range(0, len(waiting), _TOGETHER):
                some = waiting[first : first + _TOGETHER]
                operations += _send(api, hub_id, some)
                done(sum(file.byte_length for file in some))
            commit = _commit(api, hub_id, head, manifest, [*map(CommitOperationDelete, removed), *operations])
    with _told(hub_id):
        now = {path: version for path, _, version in list_files(hub_id, commit)}
    _check_arrived(hub_id, files, now)
    return Uploaded(page(hub_id), commit, created, private, tuple(file.path for file in waiting), tuple(removed))


def _files(folder: Path, manifest: Manifest) -> list[_File]:
    """Return what is uploaded, the manifest last."""
    sealed = folder / MANIFEST
    listed = [_File(file.path, folder / file.path, file.byte_length, file.sha256) for file in manifest.files]
    return [*listed, _File(MANIFEST, sealed, sealed.stat().st_size, sha256_of(sealed))]


def _open_data_set(api: HfApi, hub_id: str, *, public: bool) -> tuple[str, bool, bool]:
    """Return the newest commit of a data set, whether it was made just now, and whether it is private."""
    created = False
    try:
        info = api.dataset_info(hub_id)
    except RepositoryNotFoundError as error:
        if error.response.status_code != 404:
            raise
        api.create_repo(hub_id, repo_type=_DATA_SET, private=not public)
        created = True
        info = api.dataset_info(hub_id)
    if info.sha is None:
        raise UploadFailed(f"{hub_id}: {endpoint()} names no commit; expected a Hub that keeps revisions")
    if not info.private and not public:
        raise UploadRefused(f"{hub_id}: everybody can read it; expected a private data set, or --public")
    return info.sha, created, bool(info.private)


def _former_version(hub_id: str, head: str, there: dict[str, str], manifest: Manifest) -> set[str]:
    """Return the paths that a former version of the same subset put there; none where there is no such version.

    Raises:
        UploadRefused: if another subset lies there.
    """
    if MANIFEST not in there:
        return set()
    with _told(hub_id):
        former = _sealed(read(join_url(Address(hub_id, head, MANIFEST))))
    if former is None:
        return set()
    found, expected = (
        (former["subset"], former["source"]["name"]),
        (manifest.subset, manifest.source.name),
    )
    if found != expected:
        raise UploadRefused(
            f"{hub_id}: found the subset {found[0]} of {found[1]}, expected a former version of {expected[0]} of "
            f"{expected[1]}, or an empty data set"
        )
    return {MANIFEST, *(str(file["path"]) for file in former["files"])}


def _sealed(content: bytes) -> dict[str, Any] | None:
    """Return a manifest of this or another release, if it is as it was written; else None."""
    try:
        former: dict[str, Any] = json.loads(content)
        named = isinstance(former["subset"], str) and isinstance(former["source"]["name"], str)
        paths = [file["path"] for file in former["files"]]
    except (ValueError, KeyError, TypeError):
        return None
    if not named or not all(isinstance(path, str) for path in paths):
        return None
    return former if former.get("seal") == fingerprint(former | {"seal": ""}) else None


def _refuse_to_overwrite(hub_id: str, strangers: set[str], ours: set[str]) -> None:
    """Raise :class:`UploadRefused` if a file of somebody else would be overwritten, or read as pairs of the subset."""
    # A .gitignore there would keep files out without a word.
    in_the_way = sorted(path for path in strangers if path in ours | {".gitignore"} or path.startswith("data/"))
    if in_the_way:
        raise UploadRefused(
            f"{hub_id}: found {_some(in_the_way)}, of no former version of this subset and in its way; "
            "name another data set, or delete them there"
        )


def _send(api: HfApi, hub_id: str, files: Sequence[_File]) -> list[CommitOperationAdd]:
    """Send what of ``files`` goes to large-file storage; return what a commit needs to show all of them."""
    additions = [CommitOperationAdd(file.path, file.local) for file in files]
    api.preupload_lfs_files(hub_id, additions, repo_type=_DATA_SET, free_memory=False)
    for file, addition in zip(files, additions, strict=True):
        if addition.upload_info.sha256.hex() != file.sha256:
            raise UploadFailed(
                f"{file.local}: is not the file in the manifest: it was changed; nothing of this version is shown"
            )
    return additions


def _commit(
    api: HfApi,
    hub_id: str,
    head: str,
    manifest: Manifest,
    operations: Sequence[CommitOperationAdd | CommitOperationDelete],
) -> str:
    """Show what was sent, all of it at once, unless somebody else has changed the data set since ``head``."""
    made = api.create_commit(
        hub_id,
        operations,
        commit_message=f"{manifest.subset}: {manifest.mode}, {manifest.funnel.kept:,} pairs",
        commit_description=f"Seal of the manifest: {manifest.seal}",
        repo_type=_DATA_SET,
        parent_commit=head,
    )
    return made.oid


def _check_arrived(hub_id: str, files: Sequence[_File], there: dict[str, str]) -> None:
    wrong = [file.path for file in files if not file.same_as(there.get(file.path))]
    if wrong:
        raise UploadFailed(
            f"{hub_id}: {_some(wrong)}: not there as in the manifest: was it changed meanwhile? "
            "Run the same command again"
        )


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


@contextmanager
def _told(hub_id: str) -> Iterator[None]:
    """Turn the client's errors into :class:`UploadFailed`."""
    try:
        yield
    except (ShardUnreadable, HfHubHTTPError, httpx2.TransportError, ValueError, OSError) as error:
        raise UploadFailed(_in_words(hub_id, error)) from error
    except RuntimeError as error:  # around the fault of one large file
        raise UploadFailed(f"{hub_id}: {error} {_of_storage(error.__cause__)}Run the same command again") from error


def _of_storage(error: BaseException | None) -> str:
    """Return what went wrong, without the address: it is signed, and lets whoever has it write."""
    if isinstance(error, HfHubHTTPError):
        return f"Its storage answered {error.response.status_code}. "
    return "" if error is None else f"{type(error).__name__}. "


def _in_words(hub_id: str, error: BaseException) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return f"{hub_id}: not uploaded, because HF_HUB_OFFLINE is set; unset it"
    if isinstance(error, httpx2.TransportError):
        told = f"{type(error).__name__}: {error}"
        return f"{hub_id}: {told}; expected {endpoint()} to answer: is the network up? Run the same command again"
    if not isinstance(error, HfHubHTTPError):
        return f"{hub_id}: {error}"
    status, said = error.response.status_code, error.server_message or "no reason given"
    creating = re.search(r"/api/repos/create$", error.response.request.url.path)
    if status == 401:
        return f"{hub_id}: the Hub does not accept the token ({said}); expected one that may write"
    if status == 403 or (status == 404 and creating):
        owner = hub_id.split("/")[0]
        return f"{hub_id}: the token may not write there ({said}); expected a token that may write for {owner}"
    if status in (409, 412):
        return f"{hub_id}: somebody else changed it meanwhile ({said}); run the same command again"
    again = "; run the same command again later" if status == 429 or status >= 500 else ""
    return f"{hub_id}: the Hub answered {status}: {said}{again}"
