"""A folder for each manager of guests: it finds their VMs and writes what they own."""
