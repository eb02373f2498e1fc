"""``git10m publish``: what of a subset is uploaded, why, and where it lies then."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from upath import UPath

from flows.progress import console
from flows.terminal import printable
from schemas.manifest import Manifest
from tasks.files import is_local
from tasks.published import MANIFEST, read_manifest
from tasks.upload.hub import Uploaded, check_id, page, upload
from tasks.upload.index_form import check_index, index_form
from tasks.upload.permission import UploadRefused, permission
from tasks.verify.subset import verify


class _Form(NamedTuple):
    """What is uploaded."""

    folder: Path
    manifest: Manifest


def run_publish(directory: UPath, hub_id: str, *, public: bool = False, dry_run: bool = False) -> Uploaded | None:
    """Upload the subset in ``directory`` to the data set ``hub_id``, as much as its terms allow; print what and why.

    With ``dry_run`` nothing is asked of the network: the files are listed, and None is returned.

    Raises:
        UploadRefused: if it may not, or cannot, be uploaded; nothing was sent.
        UploadFailed: if the Hub refuses, or cannot be reached.
        NotASubset: if ``directory`` is no subset.
    """
    check_id(hub_id)
    manifest = read_manifest(directory)
    _refuse_unsound(directory)
    with _form(directory, manifest) as (folder, form):
        byte_length = sum(file.byte_length for file in form.files) + (folder / MANIFEST).stat().st_size
        _say(f"{manifest.subset} of {manifest.source.name} to {page(hub_id)}")
        _say(f"{_name(manifest, form)}: {permission(manifest.source).because}")
        if manifest.source.terms:
            _say(f"terms of the source: {manifest.source.terms}")
        _say(f"{len(form.files) + 1:,} files, {byte_length:,} bytes")
        if dry_run:
            for file in form.files:
                _say(f"  {file.path}  {file.byte_length:,}")
            _say(f"  {MANIFEST}  {(folder / MANIFEST).stat().st_size:,}")
            _say("dry run: nothing was uploaded")
            return None
        with _bar(byte_length) as bar:
            uploaded = upload(folder, form, hub_id, public=public, done=bar)
    _say_uploaded(uploaded, form)
    return uploaded


def _refuse_unsound(directory: UPath) -> None:
    report = verify(directory)
    if not report.sound:
        raise UploadRefused(str(report))


@contextmanager
def _form(directory: UPath, manifest: Manifest) -> Iterator[_Form]:
    """Yield the form of a subset that may be uploaded; nothing is written into its folder."""
    whole = permission(manifest.source).whole
    if not whole and manifest.mode == "data":
        with TemporaryDirectory(prefix="git10m-") as scratch:
            folder = Path(scratch) / manifest.subset
            form = index_form(directory, folder)
            check_index(UPath(folder), form)
            yield _Form(folder, form)
        return
    if not is_local(directory):
        raise UploadRefused(f"{directory}: expected a local folder; copy the subset to one first")
    if not whole:
        check_index(directory, manifest)
    yield _Form(Path(str(directory)), manifest)


def _name(manifest: Manifest, form: Manifest) -> str:
    if form.mode == "data":
        return "all of it"
    return "the index, as it is" if manifest.mode == "index" else "the index form, without pictures and captions"


def _say_uploaded(uploaded: Uploaded, form: Manifest) -> None:
    made = "new" if uploaded.created else "existing"
    if not uploaded.sent and not uploaded.removed:
        _say("unchanged: all of it was there already")
    else:
        _say(f"sent {len(uploaded.sent):,} files, removed {len(uploaded.removed):,} of the former version")
    if form.mode == "index" and any(path.startswith("data/") for path in uploaded.removed):
        _say(
            "the history of the data set still holds the former version's pictures and captions: delete the data set, "
            "or squash its history, if they may not be there",
        )
    _say(f"{made} {'private' if uploaded.private else 'public'} data set, commit {uploaded.commit}")
    _say(uploaded.url)
    if form.mode == "index":
        _say("whoever has the source makes the subset of it: git10m materialize INDEX --source COPY --dir OUT")


@contextmanager
def _bar(byte_length: int) -> Iterator["_Bar"]:
    """Show how many bytes have arrived, on a terminal; the client's own bars would be drawn over it."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # a lazy module, declares no exports
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    columns = (TextColumn("upload"), BarColumn(20), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
            yield _Bar(bars, byte_length)
    finally:
        if not quiet:
            enable_progress_bars()


class _Bar:
    def __init__(self, bars: Progress, byte_length: int):
        self._bars = bars
        self._task = bars.add_task("upload", total=byte_length)

    def __call__(self, byte_length: int) -> None:
        self._bars.update(self._task, advance=byte_length)


def _say(line: str) -> None:
    print(printable(line))
