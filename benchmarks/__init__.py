"""Speed and memory beside other tools: ``make bench``."""
