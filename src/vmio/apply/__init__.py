"""Safe writers: a VM's config on disk, and what a running guest can change at once."""
