"""What tests share: tiny models, oracles, fakes."""
