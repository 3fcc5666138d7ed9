"""The gradient estimators that ship with the core; each registers through the plugin hook like any other."""
