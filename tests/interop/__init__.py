"""`make interop`: real phones on a LAN of namespaces, each beside its own adapter; root, Debian or Ubuntu."""
