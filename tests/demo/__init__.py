"""`make demo`: the whole path of the paper with real parts, measured and judged."""
