"""All input and output: sockets, files, processes, the clock."""
