"""What /sys, /proc and /etc say of this host."""
