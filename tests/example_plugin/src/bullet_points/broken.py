"""A module that cannot be imported: it must break nothing but its own metric."""

raise RuntimeError("this plug-in is broken on purpose")
