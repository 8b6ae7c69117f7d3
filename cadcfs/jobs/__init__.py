"""Asynchronous queries: what was asked, how far it is, and what came of it. Knows no kernel."""
