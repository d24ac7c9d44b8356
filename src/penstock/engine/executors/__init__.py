"""Where a handler's code runs: on the event loop, on a thread, or in a child process."""
