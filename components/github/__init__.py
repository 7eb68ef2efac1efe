"""GitHub before anything is declared: the log-in, what is there already, and how that is taken over."""
