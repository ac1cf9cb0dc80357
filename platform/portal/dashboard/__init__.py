"""Dashboard: where one's money stands, the approver's queue, spend by month and category, first steps."""
