"""Where the payment processor's messages arrive."""
