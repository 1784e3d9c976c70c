"""Decisions about GPU stock: what is wanted, what moved, what to claim, when to look again."""
