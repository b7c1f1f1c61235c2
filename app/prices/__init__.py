"""What a call costs: rates from four sources, and exact money made of them."""
