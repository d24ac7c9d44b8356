"""The full matrix of `penstock bench`. See README.md beside this file."""
