"""The command ``gluon-linalg``."""

import os
import sys
from typing import NoReturn, Optional, Sequence

from .._runtime import install_command
from ..native import backend_status
from ..server import ROLE
from . import log

# What the extras install, by module name.
EXTRAS = {
    **dict.fromkeys(("click", "matplotlib", "pydantic", "scipy", "tqdm", "yaml"), "jobs"),
    **dict.fromkeys(("fastapi", "fastapi_offline", "starlette", "uvicorn"), "serve"),
}


def main(arguments: Optional[Sequence[str]] = None) -> NoReturn:
    """Runs the command; exits with 0, 2 for wrong input, 130 or 143 when it was stopped."""
    log.set_up()
    try:
        backend_status()
    except (ValueError, RuntimeError) as error:
        # GLUON_LINALG_BACKEND names no operators that are there.
        log.failure(str(error))
        sys.exit(2)
    try:
        from .commands import run

        status = run(arguments)
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in EXTRAS:
            raise
        log.failure(
            f"gluon-linalg needs {missing}, which is not installed: "
            f"{install_command(EXTRAS[missing])}"
        )
        sys.exit(2)
    if ROLE in os.environ:
        # An orderly end would wait for the other processes, which a failed one must not.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
