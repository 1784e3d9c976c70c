"""Machines that nobody remembers: leases, lifetimes, and idleness by evidence."""
