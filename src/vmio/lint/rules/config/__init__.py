"""CF: the form of a configuration; what one notation's reader could not take is in its folder."""
