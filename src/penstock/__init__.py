"""Durable asynchronous processing on one SQLite file or PostgreSQL."""
