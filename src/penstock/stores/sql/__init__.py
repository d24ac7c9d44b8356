"""What both dialects share: named statements, and the executors that drive programs over them."""
