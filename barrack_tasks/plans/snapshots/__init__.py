"""Decisions about snapshots: which to keep, to restore, to prove, and images of them."""
