"""Reports: submit, withdraw, approve, return with a reason, mark paid."""
