"""In the programs that tests start: the package that is tested, and a quicker import of MXNet.

A program that is started in a checkout would take the package of that folder, which has no
operators in C++ where the installed one is tested. And MXNet imports scipy.stats for tests of its
own, a fifth of each start: it is hidden from MXNet, and from nobody else.
"""

import importlib.util
import os
import sys

TESTED = os.environ.get("GLUON_LINALG_TESTED")


class TestedPackage:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "gluon_linalg" or not TESTED:
            return None
        return importlib.util.spec_from_file_location(
            name, os.path.join(TESTED, "__init__.py"), submodule_search_locations=[TESTED]
        )


class WhileMXNetIsImported:
    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = getattr(sys.modules.get("mxnet"), "__spec__", None)
        if name == "scipy.stats" and getattr(spec, "_initializing", False):
            raise ModuleNotFoundError("scipy.stats is hidden from MXNet", name=name)


sys.meta_path[:0] = [TestedPackage, WhileMXNetIsImported]
