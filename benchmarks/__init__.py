"""What the flows cost, side by side with scripts by hand: `make bench`."""
