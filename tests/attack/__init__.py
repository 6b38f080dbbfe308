"""How the claims stand up to attackers, counted: `make attack`."""
