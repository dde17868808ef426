"""Findings to edits of the files that own the values, spliced into their text."""
