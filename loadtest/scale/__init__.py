"""The scale test: does the service follow its load? Its engine sleeps instead of computing."""
