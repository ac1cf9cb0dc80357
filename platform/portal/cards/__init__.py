"""The page on which a workspace starts its card feed and says whose card is whose."""
