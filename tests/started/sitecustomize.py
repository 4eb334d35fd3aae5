"""Hides scipy.stats from MXNet, and from nobody else, in the programs that tests start.

MXNet imports it for tests of its own: a fifth of each start.
"""

import sys


class WhileMXNetIsImported:
    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = getattr(sys.modules.get("mxnet"), "__spec__", None)
        if name == "scipy.stats" and getattr(spec, "_initializing", False):
            raise ModuleNotFoundError("scipy.stats is hidden from MXNet", name=name)


sys.meta_path.insert(0, WhileMXNetIsImported)
