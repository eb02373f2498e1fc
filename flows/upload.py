"""``git10m publish``: what of a subset is uploaded, why, and where it lies then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from upath import UPath

from flows.as_json import as_json as json_of
from flows.progress import console, stage
from flows.terminal import printable
from schemas.manifest import Manifest
from schemas.upload import Commit, UploadedFile, UploadReport
from tasks.files import is_local
from tasks.published import MANIFEST, read_manifest
from tasks.upload.hub import Uploaded, check_id, page, upload
from tasks.upload.index_form import check_index, index_form
from tasks.upload.permission import UploadRefused, permission
from tasks.verify.subset import verify
from tasks.versions import followed


class _Form(NamedTuple):
    """What is uploaded."""

    folder: Path
    manifest: Manifest


def run_publish(
    directory: UPath,
    hub_id: str,
    *,
    public: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> Uploaded | None:
    """Upload the subset in ``directory`` to the data set ``hub_id``, as much as its terms allow; print what and why.

    With ``dry_run`` nothing is asked of the network: the files are listed, and None is returned. ``quiet``: nothing is
    printed; ``as_json``: an :class:`UploadReport` at the end.

    Raises:
        UploadRefused: if it may not, or cannot, be uploaded; nothing was sent.
        UploadFailed: if the Hub refuses, or cannot be reached.
        NotASubset: if ``directory`` is no subset.
    """
    check_id(hub_id)
    console.quiet = quiet
    say = _unsaid if quiet or as_json else _say
    directory = followed(directory)
    manifest = read_manifest(directory)
    _refuse_unsound(directory)
    with _form(directory, manifest) as (folder, form):
        files = (
            *(UploadedFile(path=file.path, byte_length=file.byte_length) for file in form.files),
            UploadedFile(path=MANIFEST, byte_length=(folder / MANIFEST).stat().st_size),
        )
        because = permission(manifest.source).because
        say(f"{manifest.subset} of {manifest.source.name} to {page(hub_id)}")
        say(f"{_name(manifest, form)}: {because}")
        if manifest.source.terms:
            say(f"terms of the source: {manifest.source.terms}")
        say(f"{len(files):,} files, {sum(file.byte_length for file in files):,} bytes")
        uploaded = None
        if dry_run:
            for file in files:
                say(f"  {file.path}  {file.byte_length:,}")
            say("dry run: nothing was uploaded")
        else:
            with _own_bar(files) as arrived:
                uploaded = upload(folder, form, hub_id, public=public, done=arrived)
            _tell_of(uploaded, form, say)
    if as_json:
        report = UploadReport(
            subset=manifest.subset,
            source=manifest.source.name,
            url=page(hub_id),
            form=form.mode,
            because=because,
            files=files,
            commit=uploaded and Commit(**{name: getattr(uploaded, name) for name in Commit.model_fields}),
        )
        print(json_of(report))
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


def _tell_of(uploaded: Uploaded, form: Manifest, say: Callable[[str], None]) -> None:
    made = "new" if uploaded.created else "existing"
    if not uploaded.sent and not uploaded.removed:
        say("unchanged: all of it was there already")
    else:
        say(f"sent {len(uploaded.sent):,} files, removed {len(uploaded.removed):,} of the former version")
    if form.mode == "index" and any(path.startswith("data/") for path in uploaded.removed):
        say(
            "the history of the data set still holds the former version's pictures and captions: delete the data set, "
            "or squash its history, if they may not be there",
        )
    say(f"{made} {'private' if uploaded.private else 'public'} data set, commit {uploaded.commit}")
    say(uploaded.url)
    if form.mode == "index":
        say("whoever has the source makes the subset of it: git10m materialize INDEX --source COPY --dir OUT")


@contextmanager
def _own_bar(files: tuple[UploadedFile, ...]) -> Iterator[Callable[[int], None]]:
    """Show how many bytes have arrived; the client's own bars would be drawn over it."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # a lazy module, declares no exports
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    hidden = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with stage("upload", byte_length=sum(file.byte_length for file in files)) as bar:
            yield lambda byte_length: bar.advance(byte_length=byte_length)
            bar.finish(f"{len(files):,} files")
    finally:
        if not hidden:
            enable_progress_bars()


def _say(line: str) -> None:
    print(printable(line))


def _unsaid(line: str) -> None:
    """Say nothing."""
