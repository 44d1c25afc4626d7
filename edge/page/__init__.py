"""The live page: its state, its server, and the files that a browser gets."""
