"""What the programs look like in a terminal, kept as text in docs/screens/: make screens."""
