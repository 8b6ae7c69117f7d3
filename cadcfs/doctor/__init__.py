"""What `cadcfs doctor` looks at: machine, mount points, cache, accounts, services, the archive."""
