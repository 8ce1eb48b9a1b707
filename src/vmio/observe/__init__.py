"""Samples of a running guest's threads and disks, and rates between two samples."""
