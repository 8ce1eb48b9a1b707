"""Proxmox VE: VMs found in its tree, and configs written under its lock, and taken back."""
