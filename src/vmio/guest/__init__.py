"""The small bootable guest that benchmarks use, and the client of a guest's agent."""
