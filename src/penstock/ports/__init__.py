"""Protocols between the engine and what is around it. No logic, no SQL, no driver types."""
