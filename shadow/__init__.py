"""The evidence: what was recorded, what then happened, and whether it could be luck."""
