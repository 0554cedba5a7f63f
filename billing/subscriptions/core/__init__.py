"""What things cost and when they fall due, as arithmetic: no Django, no clock, no I/O (a test holds this)."""
