"""How to run: claim, carry, settle, beat, rescue. Knows the ports, never a store."""
