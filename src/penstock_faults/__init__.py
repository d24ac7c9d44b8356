"""The fault suite: programs that break what Penstock stands on, and say what that cost. `penstock-faults --help`, docs/reliability.md.

Nothing in here is needed to run Penstock, and Penstock imports none of it. It kills only processes that it started itself.
"""
