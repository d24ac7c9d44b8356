"""Where a handler's code runs: on the event loop, or on a thread."""
