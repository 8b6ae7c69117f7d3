"""What we remember: answers by key, and blocks of files. Generic; knows no archive."""
