"""CA: cache modes and AIO engines that do not go together, or not with the storage."""
