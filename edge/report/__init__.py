"""What a session leaves: lines, tables, JSON, CSV, and its summary as a page."""
