"""Measuring: how right (`accuracy`, `metrics`) and how fast (`speed`)."""

from cascade.core.registry import refuse_shadowed

refuse_shadowed()  # before a module below imports what another package's name hides
