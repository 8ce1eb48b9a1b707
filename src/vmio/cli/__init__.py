"""The command line: one file per verb, and `main`, which turns errors into exit statuses."""
