"""libvirt: finds domains by its daemon or in its folder, and changes and restores them by it."""
