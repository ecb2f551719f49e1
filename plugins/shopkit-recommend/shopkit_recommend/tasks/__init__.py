"""What is recommended, and how good that is."""
