"""A Django app that uses Penstock."""
