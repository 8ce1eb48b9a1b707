"""Which IOThread serves which disk: policies, plans and the invariants of every layout."""
