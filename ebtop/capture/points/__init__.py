"""What can be attached to on this machine, found where the kernel tells it."""
