"""Decisions that put instances to rest and bring them back."""
