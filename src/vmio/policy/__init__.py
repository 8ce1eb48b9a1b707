"""From what a config says to what runs: controllers, IOThreads, addresses, and their effect."""
