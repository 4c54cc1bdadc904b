"""What ebtop does when things go wrong: `python -m tests.faults`, or `make faults`, prints one table."""
