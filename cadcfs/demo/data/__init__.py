"""The archive's files: where they are and their bytes (CADC storage inventory)."""
