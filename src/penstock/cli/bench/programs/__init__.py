"""What is measured: a user's app, and processes beside it. Each file is run as a program of its own, from this folder."""
