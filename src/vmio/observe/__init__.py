"""What the threads and disks of a running guest do: samples of both, and rates between two."""
