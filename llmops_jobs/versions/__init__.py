"""Which prompt or model is better: what ran, comparisons on traffic, the release gate, rollback."""
