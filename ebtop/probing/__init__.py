"""What is read at attach points that the user chose: from a request to a plan, and from a plan to a tool."""
