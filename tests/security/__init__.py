"""Nobody gets in, and nothing gets out."""
