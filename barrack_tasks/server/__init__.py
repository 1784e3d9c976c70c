"""The Prefect server: what starts it, and what all workers share on it."""
