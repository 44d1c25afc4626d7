"""Measurements: accuracy under noise beside latency, and what the edge runner adds to bare inference."""
