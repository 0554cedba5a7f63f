"""What stands in a mail about a request, and how it is worded."""
