"""`penstock bench`: how fast this machine is with Penstock, beside the same SQL by plain sqlite3."""

from penstock.cli.bench.command import bench

__all__ = ["bench"]
