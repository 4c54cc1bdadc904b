"""Pictures of the panes, taken from real runs on real loads: `make screenshots`."""
