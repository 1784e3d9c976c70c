"""Watching GPU stock, claiming it and telling of it."""
