"""The lab: a page to try the service in a browser, a Serve application of its own."""
