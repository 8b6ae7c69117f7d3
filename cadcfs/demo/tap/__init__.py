"""The TAP service: engine, formats and the synchronous endpoint (IVOA TAP 1.1)."""
