"""The sample company of the demo: what it is (`company`), what it used (`usage`), and how it is loaded."""
