"""Issued invoices as PDF: what stands on them, how it is worded, and how it is set."""
