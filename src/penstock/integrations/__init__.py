"""Penstock inside other libraries. Each module needs its own extra."""
