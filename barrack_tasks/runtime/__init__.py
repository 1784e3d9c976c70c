"""Carries any plan out with Prefect: leases, the loop, the executor, alerts and messages."""
