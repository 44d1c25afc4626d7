"""The edge runner: frames from a camera, folder or video in, verdicts with their latency out."""
