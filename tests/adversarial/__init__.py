"""Attacks, one attacker a file: what he can do, does, and does not get."""
