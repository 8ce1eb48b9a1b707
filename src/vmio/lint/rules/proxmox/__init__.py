"""Rules of every family that are only about Proxmox VE's configs."""
