"""What the payment processor tells us: which plan a workspace pays for, and how. Never a card's number."""
