"""Drills: planted faults that the gates must catch, and what each is expected to trip."""
