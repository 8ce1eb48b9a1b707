"""This host's facts from /sys, /proc and /etc."""
