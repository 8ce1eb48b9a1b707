"""Rules that are about Proxmox VE's configs alone, of every family."""
