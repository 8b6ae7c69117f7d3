"""Builds the embedded archive: synthetic observations, their files and their metadata."""
