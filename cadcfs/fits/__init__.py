"""What FITS files are made of. Knows no archive, no cache and no network."""
