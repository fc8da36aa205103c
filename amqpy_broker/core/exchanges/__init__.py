"""Exchange types, bindings and routing."""
