"""The lab: a page on which the service can be tried in a browser, and its live figures."""
