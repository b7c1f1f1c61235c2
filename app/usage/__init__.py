"""What agents spent: events as they were reported, and sums of them."""
