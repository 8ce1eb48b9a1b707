"""CF: what the reader of a configuration could not take, one rule per kind of problem."""
