"""The demo's story: product reviews with an optional planted shortcut, and small classifiers trained on them."""
