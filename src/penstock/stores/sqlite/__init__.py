"""The store on one SQLite file, through the standard library's `sqlite3` alone."""
