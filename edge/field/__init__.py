"""Pure vision on one field: how a frame is treated, quality gates, white cells found and cut out, stage motion."""
