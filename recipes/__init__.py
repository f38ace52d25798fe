"""One self-contained recipe per application: run it, copy it, tune it."""
