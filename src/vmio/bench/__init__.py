"""Two layouts measured against each other: fio jobs, paired runs and their statistics."""
