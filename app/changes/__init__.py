"""Every committed change of the configuration: who, what, under which rev."""
