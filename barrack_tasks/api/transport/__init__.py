"""How one request travels: connections, pacing, retries, pages, and answers that were lost."""
