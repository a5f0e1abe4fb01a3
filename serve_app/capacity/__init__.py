"""What the cluster is made of, and how much of it a load needs."""
