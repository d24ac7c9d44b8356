"""Running jobs inside a transaction that a test has open and will never commit: `kit.drain(tx=connection)`."""
