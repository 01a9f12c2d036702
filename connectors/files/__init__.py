"""Files as a system: CSV, JSON lines, Parquet, and the meter-data formats NEM12 and NEM13."""

from connectors.files.client import FilesConnector

__all__ = ["FilesConnector"]
