"""What is asked of the driver, and what is refused; against a stub driver, without a GPU."""

import pytest
from stub_driver import compile_stub

from gluon_linalg.jobs import cuda_devices
from gluon_linalg.jobs.errors import JobError


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return compile_stub(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(library, monkeypatch):
    """Installs a driver that reports these capabilities."""

    def install(capabilities="", version=11080, status=0):
        monkeypatch.setattr(cuda_devices, "DRIVER", str(library))
        monkeypatch.setenv("STUB_CAPABILITIES", capabilities)
        monkeypatch.setenv("STUB_DRIVER_VERSION", str(version))
        monkeypatch.setenv("STUB_INIT", str(status))

    return install


@pytest.fixture
def no_driver(monkeypatch):
    monkeypatch.setattr(cuda_devices, "DRIVER", "libcuda.so.of-no-machine")


def test_the_driver_and_its_devices_are_described(driver):
    driver("8.6,7.0", version=12020)
    assert cuda_devices.describe() == [
        "NVIDIA driver for CUDA 12.2",
        "gpu(0), Stub 0, compute capability 8.6",
        "gpu(1), Stub 1, compute capability 7.0",
    ]
    cuda_devices.check_supported()


@pytest.mark.parametrize("capability", ["5.0", "5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9"])
def test_what_the_wheels_run_on_is_taken(driver, capability):
    driver(capability)
    cuda_devices.check_supported()


@pytest.mark.parametrize("capability", ["3.7", "9.0", "10.0", "12.0"])
def test_other_devices_are_refused_with_the_reason(driver, capability):
    driver(capability)
    with pytest.raises(JobError) as refused:
        cuda_devices.check_supported()
    message = str(refused.value)
    assert message.startswith(f"gpu(0), Stub 0, compute capability {capability}: MXNet 1.9.1 has ")
    for words in ("machine code for compute capability 5.0 to 8.9", "A100", "CUDA_VISIBLE_DEVICES"):
        assert words in message
    assert cuda_devices.describe()[-1].endswith(": cannot be used")


def test_of_two_devices_the_unsupported_one_is_named(driver):
    driver("8.6,9.0")
    with pytest.raises(JobError, match=r"^gpu\(1\), Stub 1, compute capability 9\.0"):
        cuda_devices.check_supported()
    cuda_devices.check_supported([0])
    with pytest.raises(JobError, match=r"^gpu\(1\)"):
        cuda_devices.check_supported([0, 1])


def test_no_driver(no_driver):
    assert cuda_devices.describe() == ["no NVIDIA driver (libcuda.so.of-no-machine is not there)"]
    cuda_devices.check_supported()


def test_no_visible_device(driver):
    driver("")
    assert cuda_devices.describe() == ["NVIDIA driver for CUDA 11.8", "no GPU is visible"]
    cuda_devices.check_supported()


def test_a_driver_that_does_not_start(driver):
    driver("8.6", status=803)
    assert cuda_devices.describe()[1] == "the NVIDIA driver does not start (cuInit: error 803)"
    cuda_devices.check_supported()


def test_a_driver_before_cuda_11_is_refused(driver):
    driver("7.5", version=10020)
    with pytest.raises(JobError, match=r"driver is for CUDA 10\.2.*needs 11\.0.*450\.80\.02"):
        cuda_devices.check_supported()
    driver("7.5", version=11000)
    cuda_devices.check_supported()
