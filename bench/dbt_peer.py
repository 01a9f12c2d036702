"""dbt beside the warehouse: the same cubes, as incremental models and as a full refresh, on the same server.

dbt has no change log: it merges the newest record of each line into a table and makes the partitions anew that new
records touch: months of posting, or customers.  The cells are the SQL text of the cubes' own roll-up, so both do the
same sums.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from bench import measure, server
from bench.measure import Cost
from bench.peers.run import environment
from warehouse.posting import posting_sql
from warehouse.spec import Store, Warehouse

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements-dbt.lock"
VENV = server.FOLDER.parent / "bench-dbt-venv"
PROJECT = server.FOLDER / "dbt-project"
MONTH = "date_trunc('month', l.posted_on::timestamp)"
# What each cube is cut by: its column, and the same of a line.
PARTITIONS = {
    "billing": ("posting_month", MONTH),
    "billing_by_posting": ("posting_month", MONTH),
    "customer_billing": ("customer", "l.customer"),
}


def project(warehouse: Warehouse, store: Store) -> Path:
    """Write the dbt project with a model for each cube of a store, and return its folder."""
    shutil.rmtree(PROJECT, ignore_errors=True)
    shutil.copytree(HERE / "dbt", PROJECT)
    template = (HERE / "dbt" / "cube.sql").read_text(encoding="utf-8")
    for cube in warehouse.cubes_of(store.name):
        column, expression = PARTITIONS[cube.name]
        cells = posting_sql(cube, cube.postings[0], store, "RECORDS", request=False)
        cells = cells.replace("RECORDS AS r", "{{ records }} AS r")
        model = template.replace("PARTITION", column).replace("EXPRESSION", expression).replace("CELLS", cells)
        (PROJECT / "models" / f"{cube.name}.sql").write_text(model, encoding="utf-8")
    return PROJECT


def run(postmaster: int, database: str, *, since: int = 0, full: bool = False) -> Cost:
    """Measure one `dbt run`, from its start; `since` is the arrival that was loaded before."""
    parts = urlsplit(server.url(database))
    dbt = environment(LOCK, VENV).with_name("dbt")
    arguments = [str(dbt), "run", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--quiet"]
    arguments += ["--vars", f"{{since: {since}}}", *(["--full-refresh"] if full else [])]
    told = {
        "DBT_HOST": str(parts.hostname),
        "DBT_PORT": str(parts.port),
        "DBT_USER": str(parts.username),
        "DBT_ENV_SECRET_PASSWORD": str(parts.password),
        "DBT_DATABASE": database,
        "DBT_LOG_PATH": str(PROJECT / "logs"),
        "DO_NOT_TRACK": "1",
    }
    return measure.command(postmaster, arguments, told)
