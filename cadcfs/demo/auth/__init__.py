"""Who asks, and what they may see: users, groups, tokens, certificates (CADC access control)."""
