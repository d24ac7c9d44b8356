"""What others do on the same server in the same run. Each program is run as a module by a Python that has its library."""
