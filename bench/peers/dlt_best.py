# mypy: disable-error-code="import-not-found, untyped-decorator"
"""dlt in the best setting found: pyarrow backend, Arrow mapping, Parquet loaded by ADBC, merge by upsert.

`python dlt_best.py ISU_URL CRM_URL FOLDER`; the tables stand in the schema `dlt_crm`, made like CRM's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "500000"

import dlt
import pyarrow as pa
from dlt.sources.sql_database import sql_table
from mapping_arrow import lookups, mapped

KEYS = {
    "crmd_orderadm_i": ["client", "guid"], "crmd_orderadm_h": ["client", "guid"], "crmd_isuexta4": ["client", "guid"],
    "crm_jest": ["mandt", "objnr", "stat"], "refused": ["key", "reason"],
}  # fmt: skip


def main() -> None:
    """Run the pipeline once."""
    isu, crm, folder = sys.argv[1:4]
    rows = sql_table(
        credentials=isu.replace("postgresql://", "postgresql+psycopg2://"), table="bench_contract", backend="pyarrow",
        chunk_size=50_000, reflection_level="full",
    )  # fmt: skip
    known = lookups(crm)
    targets = {
        name: dlt.mark.make_hints(
            table_name=name, write_disposition={"disposition": "merge", "strategy": "upsert"}, primary_key=key
        )
        for name, key in KEYS.items()
    }

    @dlt.transformer(data_from=rows, name="contracts", write_disposition={"disposition": "merge", "strategy": "upsert"})
    def contracts(block: pa.Table) -> Iterator[object]:
        tables, refused = mapped(block, known)
        for name, table in {**tables, "refused": refused}.items():
            yield dlt.mark.with_hints(table, targets[name], create_table_variant=True)

    pipeline = dlt.pipeline(
        "bench", pipelines_dir=folder, dataset_name="dlt_crm",
        destination=dlt.destinations.postgres(crm),
    )  # fmt: skip
    info = pipeline.run(contracts(), loader_file_format="parquet")
    info.raise_on_failed_jobs()


if __name__ == "__main__":
    main()
