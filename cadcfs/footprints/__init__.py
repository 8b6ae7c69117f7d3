"""Outlines on the sky, as pictures, DS9 regions and coverage maps. Knows no archive."""
