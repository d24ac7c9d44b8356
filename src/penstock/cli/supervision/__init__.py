"""The parent of the worker processes, and what a worker process is."""
