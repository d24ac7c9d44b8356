"""What is folded around a handler, the innermost first: invoke, tx, the user's middleware."""
