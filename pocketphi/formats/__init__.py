"""Model files: read and write them, bounds-checked, NumPy only. Nothing here runs or guesses anything."""
