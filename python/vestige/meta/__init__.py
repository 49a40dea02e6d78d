"""Is a metric any good? Agreement, tracking, the composite, robustness, and what is an artefact."""
