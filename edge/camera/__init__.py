"""Where frames come from: one file per kind of source, opened by name in open.py."""
