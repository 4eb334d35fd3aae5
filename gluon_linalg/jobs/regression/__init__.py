"""What the tasks share that predict a target from input columns: rows, predictions, picture."""
