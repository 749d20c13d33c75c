"""The parts of the faithfulness benchmark: sets, methods, peers, measures and comparisons."""
