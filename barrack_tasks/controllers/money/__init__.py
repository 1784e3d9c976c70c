"""Balance, bills and budgets, read and remembered."""
