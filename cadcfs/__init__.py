"""The Canadian Astronomy Data Centre as a folder."""

__version__ = "0.1.0"
