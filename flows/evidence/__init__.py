"""Work on published evidence: verify, sign off, replay, and the standing that follows."""
