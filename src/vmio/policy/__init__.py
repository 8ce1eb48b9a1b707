"""Which IOThread serves which disk: policies, plans and what every layout has to keep."""
