"""The card feed: what members pay by card becomes their draft expense, exactly once."""
