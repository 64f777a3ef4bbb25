"""Engine of a run: turns rows of a plan into companies and series, each exactly once. Private."""
