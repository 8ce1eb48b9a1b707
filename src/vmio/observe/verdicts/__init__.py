"""What limits a running guest's disks, concluded from samples and the layout; pure functions."""
