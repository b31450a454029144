"""Tables on clusters: each worker unpacks what it converts, and the store is the same."""

import synthetic
import table_source

from freqprep.engines import Workers


def test_workers_of_a_cluster_unpack_for_themselves(cluster: Workers, tmp_path):
    tables = table_source.image_tables(tmp_path / "tables", {"train": 400}, corrupt=4)
    local = synthetic.make(tables, tmp_path / "local.zarr", kind="parquet")
    options = {"jobs": cluster.jobs, "engine": cluster.engine, "address": cluster.address}
    store = synthetic.make(tables, tmp_path / "out.zarr", kind="parquet", **options)
    assert synthetic.digest(store) == synthetic.digest(local)
    assert not list(store.glob(".*"))
