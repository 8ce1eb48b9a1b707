"""Two layouts measured against each other: fio jobs, paired runs and what the pairs say."""
