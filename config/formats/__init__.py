"""How the console writes days and moments."""
