"""Raw examples: public data sets, the user's own files, splits, and generators with a known optimum."""
