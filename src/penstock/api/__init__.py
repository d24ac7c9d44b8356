"""What to run: tasks, their arguments, their jobs, and the transactions they join. Knows no backend."""
