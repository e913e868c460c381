"""A network behind one small interface (`cascade.core.stage.Net`), whatever executes it.

One file a runtime; `RUNTIMES` lists them by name, and each class says of itself where it runs and how precisely.
"""

import lazy_loader

# The list of names is read by every command; what opens a network is imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
