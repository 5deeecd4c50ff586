"""The verifier decides whether a drafted beginning of a reply may be spoken."""
