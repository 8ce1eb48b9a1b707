"""Proxmox VE: finds VMs in its tree, and writes and restores configs under its lock."""
