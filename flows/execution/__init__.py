"""Where shards are computed: engines, other work pools, GPU slots, and the store that they share."""
