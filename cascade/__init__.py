"""A multi-stage cascade that reads a CT pulmonary angiogram for embolism. Research only.

import cascade
findings = cascade.Cascade.load().run("STUDY")
print(findings.exam.decision, findings.exam.probability, findings.exam.reason)
cascade.save(findings, "OUT")
"""

import lazy_loader

# What is public stands in `__init__.pyi`, for people, type checkers and this line alike. A name is imported when it is
# first used: `import cascade` stays quick, and only what runs is loaded.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
