"""How fast the service is, beside how fast its engine could be."""
