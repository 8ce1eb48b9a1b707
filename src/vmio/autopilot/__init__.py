"""Keeps the polling of running guests at the least processor time that holds their latency."""
