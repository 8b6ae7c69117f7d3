"""What the archive looks like as files. Knows no kernel: pyfuse3 must not be imported here."""
