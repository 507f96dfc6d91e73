"""Fire times become runs, and runs become history: the injector and the answerer."""
