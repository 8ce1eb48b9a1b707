"""What becomes of a disk, and by which settings."""
