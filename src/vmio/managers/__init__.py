"""One folder for each manager of guests, which finds its VMs and writes its files."""
