"""Taking over the database of the original: reading its SQLite file, and storing what it holds."""
