"""The demo's processes: started together, watched, stopped in order."""
