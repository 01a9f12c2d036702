"""Airflow around the engine: the demo, the launcher, and what both must set up first."""
