"""Running Switchyard on one machine; `make help` lists the ways in."""
