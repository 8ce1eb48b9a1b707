"""CF: the form of a configuration; rules about one notation's reader are in its folder."""
