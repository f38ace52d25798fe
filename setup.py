"""The packages of the wheel; all else is in setup.cfg.

`recipes/` lies beside the library in the checkout and ships inside it (`package_dir` in setup.cfg),
so `find:` would miss it, and a list in setup.cfg would have to be edited for every new application.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["rnn_cookbook", "rnn_cookbook.*"]), "rnn_cookbook.recipes"])
