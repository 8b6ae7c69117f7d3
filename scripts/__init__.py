"""What keeps the documents and packages up to date."""
