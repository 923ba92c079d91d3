"""Other projects' pass rules, applied to the pictures, times and peaks that a drill made: who cries wolf, and who misses what."""
