"""Engine of a run: create the rows of a plan exactly once. Private."""
