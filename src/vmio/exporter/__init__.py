"""Running guests as metrics for Prometheus, over HTTP."""
