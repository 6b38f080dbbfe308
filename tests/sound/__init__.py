"""A call through a virtual sound card: what a mouth said against what the other side's ear heard."""
