"""Running guests watched from outside: samples, and what they come to per second."""
