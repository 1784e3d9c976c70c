"""The sandbox's side of the wire."""
