"""SA: settings that put data at risk."""
