"""Rules about libvirt domains alone."""
