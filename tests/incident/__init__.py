"""The incident that `ebtop demo` shows: a real one, staged on this machine and recorded."""
