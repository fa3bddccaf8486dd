"""A graph as heap-free C99: the printer, what it stands on, and what runs it."""
