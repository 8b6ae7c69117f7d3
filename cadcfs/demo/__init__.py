"""The embedded archive: a local server that speaks CADC's protocols over files of its own."""
