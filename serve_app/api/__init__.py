"""HTTP: the contract, its validation, its answers and its problems."""
