"""Execution of shards: engines, other work pools, GPU slots, and the store that workers share."""
