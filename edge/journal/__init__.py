"""A session's journal: records, the format of its lines, the writer, the sink, slides, export."""
