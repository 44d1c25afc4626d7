"""Lists as people type them on one line."""

import csv


def typed_list(line: str) -> list[str]:
    """The parts of a comma-separated list, without the spaces around them; one with a comma in it stands in quotes.

    Nothing after a comma at the end counts for nothing; between two commas it is a part of no letters, which its reader refuses.
    Of a quote without its twin the line is one part.
    """
    try:
        parts = [part.strip() for row in csv.reader([line], skipinitialspace=True, strict=True) for part in row]
    except csv.Error:
        parts = [line.strip()]
    while parts and not parts[-1]:
        parts.pop()
    return parts
