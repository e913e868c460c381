"""Findings, studies and reports to files; each whole or absent. One file a format."""

import lazy_loader

# What is public stands in `__init__.pyi`; a name is imported when it is first used, so that the list of formats can be
# read without what writes them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
