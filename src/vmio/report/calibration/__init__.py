"""The costs of a host, as measured."""
