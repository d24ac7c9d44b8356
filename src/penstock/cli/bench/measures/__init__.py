"""One file for each kind of work. A measure is run once in each round, and gives its lines' samples."""
