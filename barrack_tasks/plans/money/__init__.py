"""Decisions about money: what burns, how long it lasts, who is told, what is put to rest."""
