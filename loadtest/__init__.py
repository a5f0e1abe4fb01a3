"""Programs that put load on the service and measure it."""
