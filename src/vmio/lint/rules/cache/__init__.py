"""CA: cache modes and AIO engines that do not fit each other or the storage."""
