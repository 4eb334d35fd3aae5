"""Tables whose rows are steps in time: what kinds of jobs for series share."""
