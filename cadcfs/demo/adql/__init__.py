"""ADQL 2.1 for SQLite: dialect, gate, functions and spherical geometry."""
