"""Lists as people type them on one line."""

import csv


def typed_list(line: str) -> list[str]:
    """The parts of a comma-separated list, without the spaces around them; one with a comma in it stands in quotes.

    A part of nothing, as after a comma at the end, counts for nothing. Of a quote without its twin the line is one part.
    """
    try:
        parts = [part.strip() for row in csv.reader([line], skipinitialspace=True, strict=True) for part in row]
    except csv.Error:
        parts = [line.strip()]
    return [part for part in parts if part]
