"""What a comparison's figures are drawn from: the signals of all rows of a subset's source, where they are at hand."""

import numpy as np
import pyarrow as pa

from schemas.recipe import ScanSettings
from schemas.tables import INDEX_FILE, SCAN_VERSION, SCORES
from tasks.diff.verdicts import KEPT, Verdicts
from tasks.files import read_parquet
from tasks.published import RUN, workspace_of
from tasks.report.plots import Side
from tasks.report.samples import FIGURE_COLUMNS
from tasks.scan.reuse import signals_path


def side_of(subset: Verdicts) -> Side | str:
    """Return what is drawn of ``subset``; or, where its signals are not at hand, why not.

    They are where ``run.json`` says that the run had its workspace.
    """
    manifest, versions = subset.manifest, subset.manifest.versions
    if versions.get("scan") != str(SCAN_VERSION):
        return (
            f"it was scanned by version {versions.get('scan', 'unknown')} of the scan, this release has {SCAN_VERSION}"
        )
    workspace = workspace_of(subset.directory)
    if workspace is None:
        return f"its {RUN} does not say where the workspace is"
    settings = ScanSettings.model_validate(manifest.recipe["scan"])
    columns = manifest.recipe["source"]["columns"]
    tables = []
    for shard in manifest.source.shards:
        path = signals_path(workspace, settings, columns, shard.content_xxh3)
        try:
            tables.append(read_parquet(path, FIGURE_COLUMNS))
        except FileNotFoundError:
            return f"{path}: no signals of {shard.shard}"
        except (OSError, pa.ArrowException, KeyError) as error:
            return f"{path}: cannot be read: {error}"
        if len(tables[-1]) != shard.rows:
            return f"{path}: found {len(tables[-1]):,} rows, expected the {shard.rows:,} of {shard.shard}"
    table = pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
    try:
        kept = read_parquet(subset.directory / INDEX_FILE, ["row_id", *SCORES.names])
    except (OSError, pa.ArrowException, KeyError) as error:
        return f"{INDEX_FILE}: cannot be read: {error}"
    for name in SCORES.names:  # of kept rows alone, which are those that are drawn
        values = np.full(len(table), np.nan, np.float32)
        values[kept["row_id"].to_numpy()] = kept[name].to_numpy()
        table = table.append_column(name, pa.array(values))
    return Side(manifest, table, np.asarray(subset.state == KEPT))
