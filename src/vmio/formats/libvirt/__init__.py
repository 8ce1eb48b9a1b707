"""libvirt's domain XML: how it is read, what libvirt makes of it, and the disks' command line."""
