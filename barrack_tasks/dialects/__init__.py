"""How one API spells what the client says: learned, checked, and what each flow needs of it."""
