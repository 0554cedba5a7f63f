"""What stands in a dunning letter, and how it is worded."""
