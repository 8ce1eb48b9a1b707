"""Proxmox VE's notation: VM configs, storage.cfg, and the QEMU command lines made from them."""
