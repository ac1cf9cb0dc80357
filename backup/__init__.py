"""What is due, dump, encrypt, store, verify, restore; the copies of the control database too."""
