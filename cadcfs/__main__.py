"""`python -m cadcfs`."""

from cadcfs.cli import main

main()
