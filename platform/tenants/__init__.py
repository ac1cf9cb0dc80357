"""Customer accounts as the control plane knows them."""
