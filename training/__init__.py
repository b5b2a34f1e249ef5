"""The workshop: renders streets, distils students, runs the demo. Runs from a checkout, never installed."""
