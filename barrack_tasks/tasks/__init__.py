"""A Prefect task for every operation of the Barrack API."""
