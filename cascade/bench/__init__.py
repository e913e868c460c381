"""Measuring: how right (`accuracy`, `metrics`) and how fast (`speed`)."""
