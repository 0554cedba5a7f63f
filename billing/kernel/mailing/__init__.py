"""Mails that are written with what they tell of, and sent once, after it: for every app that has some."""
