"""``_runtime.import_mxnet`` in the surroundings that it is made for, each in a fresh process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gluon_linalg import _runtime

IMPORT_MXNET = "import _runtime; mxnet = _runtime.import_mxnet()\n"


class Surroundings:
    """A folder with a copy of ``_runtime.py``, in which Python runs and looks for modules first."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = options
        shutil.copy(_runtime.__file__, folder / "_runtime.py")

    def write_module(self, name, text):
        (self.folder / name).mkdir()
        (self.folder / name / "__init__.py").write_text(text)

    def run(self, code, *options, **variables):
        ignored = ("PYTHONPATH", "PYTHONWARNINGS", "MXNET_CUDNN_LIB_CHECKING")
        inherited = {name: text for name, text in os.environ.items() if name not in ignored}
        return subprocess.run(
            [sys.executable, *self.options, *options, "-c", code],
            cwd=self.folder,
            env={**inherited, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def output_of(self, code, *options, **variables):
        finished = self.run(code, *options, **variables)
        assert finished.returncode == 0, finished.stderr
        assert finished.stderr == ""
        return finished.stdout.splitlines()

    def error_of(self, code):
        finished = self.run(code)
        assert finished.returncode != 0
        return finished.stderr.splitlines()[-1]


@pytest.fixture
def installed(tmp_path):
    """With the packages of this environment, where a test does not replace one."""
    return Surroundings(tmp_path)


@pytest.fixture
def simulated(tmp_path):
    """With no package but a numpy that is a version number; without ``site`` there are no more."""
    surroundings = Surroundings(tmp_path, "-S")
    surroundings.write_module("numpy", "__version__ = '1.23.5'")
    return surroundings


# With the real MXNet and numpy


def test_mxnet_computes_and_nothing_is_printed(installed):
    code = IMPORT_MXNET + "print(mxnet.nd.ones((2,)).asnumpy().tolist())"
    assert installed.output_of(code) == ["[1.0, 1.0]"]


def test_mxnet_may_have_been_imported_before(installed):
    code = (
        "import builtins, numpy\n"
        "for name in ('bool', 'int', 'float', 'object', 'complex', 'str'):\n"
        "    setattr(numpy, name, getattr(builtins, name))\n"
        "import mxnet as imported_before\n" + IMPORT_MXNET + "print(mxnet is imported_before)"
    )
    assert installed.output_of(code) == ["True"]


def test_import_that_failed_for_want_of_an_alias_can_be_repeated(installed):
    code = (
        "import numpy\n"
        "answer = numpy.__getattr__\n"
        "def answer_as_numpy_1_24(name):\n"
        "    if name == 'bool': raise AttributeError(name)\n"
        "    return answer(name)\n"
        "numpy.__getattr__ = answer_as_numpy_1_24\n"
        "try:\n"
        "    import mxnet\n"
        "except AttributeError as error:\n"
        "    print(error)\n" + IMPORT_MXNET + "print(mxnet.nd.ones((2,)).asnumpy().tolist())"
    )
    # The function above is the one that numpy's warnings now point at.
    assert installed.output_of(code, "-W", "ignore") == ["bool", "[1.0, 1.0]"]


def test_second_call_returns_the_same_module():
    assert _runtime.import_mxnet() is _runtime.import_mxnet() is sys.modules["mxnet"]


def test_removed_numpy_aliases_are_there_when_mxnet_is_imported(installed):
    installed.write_module(
        "mxnet",
        "import numpy\n"
        "__version__ = '1.9.1'\n"
        "aliases = [numpy.bool, numpy.int, numpy.float, numpy.object, numpy.complex, numpy.str]",
    )
    code = IMPORT_MXNET + "print(mxnet.aliases == [bool, int, float, object, complex, str])"
    # numpy answers a question about an alias that it lacks with a warning, an error here.
    assert installed.output_of(code, "-W", "error") == ["True"]


# numpy


def test_numpy_name_that_exists_is_left_alone(simulated):
    simulated.write_module("mxnet", "__version__ = '1.9.1'")
    code = "import numpy; numpy.object = 'mine'\n" + IMPORT_MXNET + "print(numpy.object)"
    assert simulated.output_of(code) == ["mine"]


def test_numpy_2_is_refused_with_what_to_install(simulated):
    (simulated.folder / "numpy" / "__init__.py").write_text("__version__ = '2.1.3'")
    error = simulated.error_of(IMPORT_MXNET)
    assert error.startswith("ImportError: MXNet 1.9 does not work with numpy 2.1.3")
    # One command, which also finds versions of what is installed that take such a numpy.
    for name, needed in {
        "Scipy_like": ["numpy<2.7,>=1.26.4"],
        "a-frame": ["six", "numpy>=2; python_version > '3.0'"],
        "apart": ["numpydoc>=1", "numpy-like", 'numpy>=1; extra == "fast"'],
        "mxnet": ["numpy<2.0.0,>1.16.0"],
    }.items():
        folder = simulated.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        lines += [f"Requires-Dist: {one}" for one in needed]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
    versions = ">=1.26,<2" if sys.version_info >= (3, 12) else ">=1.20,<1.24"
    # Python 3.8 finds no distributions in the folder that it is in, unless it knows its name.
    error = simulated.error_of(
        f"import sys; sys.path[0] = {str(simulated.folder)!r}\n{IMPORT_MXNET}"
    )
    assert error.endswith(f'numpy 2.1.3: pip install "numpy{versions}" Scipy_like a-frame')


# Threads


@pytest.mark.parametrize(
    "given, meant",
    [("1.5", "2"), ("2", "2"), (" 3 ", "3"), ("2,1", "2"), ("1e0", "1"), ("0.5", "1"), ("", "")],
)
def test_threads_are_a_whole_number_before_mxnet_is_imported(simulated, given, meant):
    simulated.write_module("mxnet", "import os; threads = os.environ['OMP_NUM_THREADS']")
    code = IMPORT_MXNET.replace("; mxnet = ", "\n_runtime._check_version = id\nmxnet = ")
    assert simulated.output_of(code + "print(mxnet.threads)", OMP_NUM_THREADS=given) == [meant]


@pytest.mark.parametrize("given", ["many", "0", "-1", "nan", "inf", "1e9"])
def test_what_is_no_number_of_threads_is_ignored(simulated, given):
    simulated.write_module("mxnet", "import os; known = 'OMP_NUM_THREADS' in os.environ")
    code = IMPORT_MXNET.replace("; mxnet = ", "\n_runtime._check_version = id\nmxnet = ")
    finished = simulated.run(code + "print(mxnet.known)", OMP_NUM_THREADS=given)
    assert finished.stdout == "False\n"
    assert f"OMP_NUM_THREADS is '{given}', which is no number of threads" in finished.stderr


def test_mxnet_computes_with_a_share_of_a_processor(installed):
    code = IMPORT_MXNET + "print(mxnet.nd.ones((2,)).asnumpy().tolist())"
    assert installed.output_of(code, OMP_NUM_THREADS="1.5") == ["[1.0, 1.0]"]


# A missing MXNet, and one that fails to load


def test_missing_mxnet_names_the_extras(simulated):
    error = simulated.error_of(IMPORT_MXNET)
    assert error.startswith("ImportError: gluon-linalg needs MXNet")
    # What is not installed is on no index.
    assert 'pip install ".[cpu]" in a checkout' in error
    assert 'pip install ".[gpu]" in a checkout' in error


def test_what_is_installed_has_its_extras_from_itself(simulated):
    folder = simulated.folder / "gluon_linalg-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: gluon-linalg\nVersion: 0.1.0\n")
    assert 'needs MXNet, which is not installed: pip install "gluon-linalg[cpu]" or' in (
        simulated.error_of(IMPORT_MXNET)
    )


def test_folder_left_behind_by_an_uninstalled_mxnet_counts_as_missing(simulated):
    (simulated.folder / "mxnet").mkdir()
    assert simulated.error_of(IMPORT_MXNET).startswith("ImportError: gluon-linalg needs MXNet")


@pytest.mark.parametrize("kind", ["OSError", "ImportError"])
@pytest.mark.parametrize(
    ("library", "advice"),
    [
        ("libcuda.so.1", ["NVIDIA driver", 'pip install ".[cpu]"']),
        ("libcudnn.so.8", ["CUDA library", "libcudnn.so.8", 'pip install ".[gpu]"']),
        ("libcudart.so.11.0", ["CUDA library", 'pip install ".[gpu]"']),
        ("libgomp.so.1", ["libgomp.so.1", "apt-get install libgomp1 libquadmath0"]),
        ("libquadmath.so.0", ["libquadmath.so.0", "apt-get install libgomp1 libquadmath0"]),
    ],
)
def test_missing_library_says_what_to_install(simulated, kind, library, advice):
    message = f"{library}: cannot open shared object file: No such file or directory"
    simulated.write_module("mxnet", f"raise {kind}('{message}')")
    error = simulated.error_of(IMPORT_MXNET)
    assert error.startswith("ImportError: ")
    for words in advice:
        assert words in error


def test_missing_distutils_names_setuptools(simulated):
    # As `import distutils` fails on Python 3.12 without setuptools.
    simulated.write_module(
        "mxnet", "raise ModuleNotFoundError(\"No module named 'distutils'\", name='distutils')"
    )
    error = simulated.error_of(IMPORT_MXNET)
    assert error.startswith("ImportError: MXNet needs distutils")
    assert error.endswith("pip install setuptools")


def test_any_other_error_is_passed_on(simulated):
    simulated.write_module("mxnet", "import no_such_module")
    error = simulated.error_of(IMPORT_MXNET)
    assert error == "ModuleNotFoundError: No module named 'no_such_module'"


def test_importing_the_package_gives_the_same_advice(installed):
    installed.write_module("mxnet", "raise OSError('libcuda.so.1: cannot open')")
    package = os.path.dirname(os.path.dirname(_runtime.__file__))
    error = installed.error_of(f"import sys; sys.path.append({package!r}); import gluon_linalg")
    assert "NVIDIA driver" in error


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(
            ["-m", "gluon_linalg.jobs", "--help"],
            marks=pytest.mark.skipif(sys.version_info < (3, 10), reason="Python does not tell"),
        ),
        ["gluon-linalg", "--help"],
    ],
)
def test_the_command_line_says_it_in_one_line(tmp_path, arguments):
    (tmp_path / "mxnet").mkdir()
    message = "libcuda.so.1: cannot open shared object file"
    (tmp_path / "mxnet" / "__init__.py").write_text(f"raise OSError({message!r})")
    script = "from gluon_linalg.jobs.cli import main; main()"
    (tmp_path / "gluon-linalg").write_text(script)
    root = Path(_runtime.__file__).parent.parent
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert ended.stderr.startswith("gluon-linalg: the installed MXNet is a CUDA build and needs")


# The version of MXNet


@pytest.mark.parametrize("version", ["1.9.0", "1.9.1"])
def test_mxnet_1_9_is_taken_silently(simulated, version):
    simulated.write_module("mxnet", f"__version__ = '{version}'")
    assert simulated.output_of(IMPORT_MXNET + "print(mxnet.__version__)") == [version]


@pytest.mark.parametrize("version", ["1.8.0", "1.90.0", "2.0.0"])
def test_another_mxnet_warns_once(simulated, version):
    simulated.write_module("mxnet", f"__version__ = '{version}'")
    finished = simulated.run(2 * IMPORT_MXNET, "-W", "always")
    assert finished.returncode == 0
    # The warning points at the caller's line.
    assert finished.stderr.startswith("<string>:1: RuntimeWarning: ")
    assert finished.stderr.count(f"this is MXNet {version}") == 1


# CUDA libraries that pip installed

PRINT_PRELOADED = (
    "import ctypes, os\n"
    "loaded = []\n"
    "ctypes.CDLL = lambda path, mode: loaded.append((path, mode))\n"
    + IMPORT_MXNET
    + "assert all(mode == ctypes.RTLD_GLOBAL for path, mode in loaded)\n"
    "print(*[os.path.basename(path) for path, mode in loaded])\n"
    "print(os.environ.get('MXNET_CUDNN_LIB_CHECKING'))"
)

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux only")


@pytest.fixture
def cuda_libraries(simulated):
    """What pip installs for CUDA 11, beside CUDA 12 and a library that MXNet does not load."""
    simulated.write_module("mxnet", "__version__ = '1.9.1'")
    for package, library in [
        ("cublas", "libcublas.so.11"),
        ("cublas", "libcublas.so.12"),
        ("cublas", "libcublasLt.so.11"),
        ("cublas", "libnvblas.so.11"),
        ("cuda_runtime", "libcudart.so.11.0"),
        ("cudnn", "libcudnn.so.8"),
        ("cudnn", "libcudnn.so.9"),
    ]:
        library_folder = simulated.folder / "nvidia" / package / "lib"
        library_folder.mkdir(parents=True, exist_ok=True)
        (library_folder / library).touch()
    return simulated


@linux_only
def test_cuda_libraries_are_loaded_for_a_cuda_build(cuda_libraries):
    (cuda_libraries.folder / "mxnet_cu117-1.9.1.dist-info").mkdir()
    expected = "libcudart.so.11.0 libcublasLt.so.11 libcublas.so.11 libcudnn.so.8"
    assert cuda_libraries.output_of(PRINT_PRELOADED) == [expected, "0"]


@linux_only
def test_cudnn_check_that_the_user_asked_for_is_kept(cuda_libraries):
    (cuda_libraries.folder / "mxnet_cu117-1.9.1.dist-info").mkdir()
    output = cuda_libraries.output_of(PRINT_PRELOADED, MXNET_CUDNN_LIB_CHECKING="1")
    assert output[1] == "1"


def test_nothing_is_loaded_for_a_cpu_build(cuda_libraries):
    (cuda_libraries.folder / "mxnet-1.9.1.dist-info").mkdir()
    assert cuda_libraries.output_of(PRINT_PRELOADED) == ["", "None"]


def test_nothing_is_loaded_where_pip_installed_no_cuda_libraries(cuda_libraries):
    (cuda_libraries.folder / "mxnet_cu117-1.9.1.dist-info").mkdir()
    shutil.rmtree(cuda_libraries.folder / "nvidia")
    assert cuda_libraries.output_of(PRINT_PRELOADED) == ["", "None"]


def test_environment_of_a_cpu_build_is_not_touched(simulated):
    simulated.write_module("mxnet", "__version__ = '1.9.1'")
    code = "import os; before = dict(os.environ)\n" + IMPORT_MXNET + "print(before == os.environ)"
    assert simulated.output_of(code) == ["True"]


CORE = (
    "import ctypes, glob, os\n"
    "(path,) = glob.glob(os.path.join(os.path.dirname(mxnet.__file__), 'libopenblas.so*'))\n"
    "blas = ctypes.CDLL(path)\n"
    "blas.openblas_get_corename.restype = ctypes.c_char_p\n"
    "print(blas.openblas_get_corename().decode(), os.environ.get('OPENBLAS_CORETYPE'))\n"
)


@pytest.mark.skipif(_runtime._kernels() is None, reason="no processor with AVX2 that is known")
def test_openblas_takes_the_kernels_of_a_newer_processor(installed):
    # And leaves no trace for libraries that are loaded later.
    assert installed.output_of(IMPORT_MXNET + CORE) == [f"{_runtime._kernels()} None"]
    user = {"OPENBLAS_CORETYPE": "Sandybridge"}
    assert installed.output_of(IMPORT_MXNET + CORE, **user) == ["Sandybridge Sandybridge"]


def test_threads_that_wait_take_no_processor(installed):
    """How long OpenMP lets them, which it shows where it is asked to, when MXNet loads it."""
    code = "import os; os.dup2(1, 2)\n" + IMPORT_MXNET
    code += "print(os.environ.get('OMP_WAIT_POLICY'))\n"
    for policy, least in (({}, 0), ({"OMP_WAIT_POLICY": "active"}, 10**9)):
        lines = installed.output_of(code, OMP_DISPLAY_ENV="verbose", **policy)
        assert lines[-1] == policy.get("OMP_WAIT_POLICY", "None")
        (spins,) = {line.split("'")[1] for line in lines if "GOMP_SPINCOUNT" in line}
        assert (int(spins) >= least) if policy else spins == "0"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: fma avx2 sse\n", "Haswell"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fma avx2 sse\n", "Zen"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx sse\n", None),
        ("CPU implementer\t: 0x41\nFeatures\t: asimd\n", None),
    ],
)
def test_kernels_by_processor(monkeypatch, text, expected):
    monkeypatch.setattr(_runtime.Path, "read_text", lambda path: text)
    assert _runtime._kernels() == expected
