"""Faults on request: what real archives and networks do, at will, seeded and repeatable."""
