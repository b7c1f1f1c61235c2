"""The parts of `make up`: one file each for the folder, the secrets, Redis, the processes."""
