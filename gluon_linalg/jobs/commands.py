"""The subcommands of ``gluon-linalg`` and what they print."""

import json
import sys
import warnings
from typing import Any, Callable, NoReturn, Optional, Sequence, Tuple

import click

from .._version import __version__
from ..native import backend_status
from . import interruption, log
from .config import DISTRIBUTED
from .errors import JobError
from .job_schema import job_schema
from .kinds import all_kinds, kind_of
from .launch import launch as launch_job
from .metrics import versions
from .predict import STDOUT, predict_file
from .reading import read_job
from .task_kind import TaskKind
from .train import train as train_job

CONTEXT = click.Choice(["cpu", "gpu", "auto"])
KVSTORE = click.Choice(["device", DISTRIBUTED])


def _set_up_log(context: click.Context, option: click.Parameter, style: Optional[str]) -> None:
    if style:
        log.set_up(style)


LOG = click.option(
    "--log",
    type=click.Choice([log.PLAIN, log.JSON]),
    expose_value=False,
    is_eager=True,
    callback=_set_up_log,
    help="What is written to stderr.",
)
DEVICE = click.option(
    "--context", "device", type=CONTEXT, default="auto", show_default=True, help="The device."
)
POSITIVE = click.IntRange(min=1)
SECONDS = click.FloatRange(min=0.001, max=86400.0)


def run(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the command line; returns the exit status."""
    log.set_up()
    try:
        with warnings.catch_warnings(), interruption.listen():
            # Of the libraries below: a user of the command can do nothing about them.
            warnings.simplefilter("ignore")
            return command.main(arguments, prog_name="gluon-linalg", standalone_mode=False) or 0
    except (JobError, click.ClickException) as error:
        log.failure(error if isinstance(error, JobError) else error.format_message())
        return 2
    except interruption.Interrupted as stopped:
        log.tell(
            "interrupted",
            stopped,
            signal=stopped.signal,
            iteration=stopped.iteration,
            status=stopped.status,
        )
        return stopped.status
    except (KeyboardInterrupt, click.Abort):
        message = "interrupted; run the same command again to continue"
        log.tell("interrupted", message, signal="SIGINT", status=130)
        return 130
    except Exception:
        # A bug. People get the traceback of Python itself.
        if not log.is_json():
            raise
        log.bug()
        return 1


class OfKinds(click.Command):
    """A command whose help ends with what `tell` says of each kind of job."""

    def __init__(self, *arguments: Any, tell: Callable[[TaskKind], str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.tell = tell

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Kinds of jobs"):
            formatter.write_dl([(kind.name, self.tell(kind)) for kind in all_kinds()])


def _left(kind):
    """What a kind leaves in the folder of results."""
    return f"{kind.title}: {', '.join([*(f'{name}/' for name in kind.folders), *kind.files])}"


@click.group()
@click.version_option(__version__, prog_name="gluon-linalg")
def command() -> None:
    """Trains models described in a job file, and predicts with them.

    \b
    gluon-linalg train job.yaml
    gluon-linalg predict out --data new.csv
    gluon-linalg serve out
    """


@command.command(cls=OfKinds, tell=_left)
@click.argument("job_file", metavar="JOB.yaml")
@click.option("--output", metavar="FOLDER", help="Write here instead of to the job's `output`.")
@click.option(
    "--context", "device", type=CONTEXT, help="Compute here instead of on the job's `context`."
)
@click.option("--devices", metavar="LIST", help="Share each batch among these: gpu(0),gpu(1)")
@click.option("--kvstore", type=KVSTORE, help="Instead of the job's `training.kvstore`.")
@LOG
@click.option("--overwrite", is_flag=True, help="Train anew, whatever the folder has of a job.")
def train(
    job_file: str,
    output: Optional[str],
    device: Optional[str],
    devices: Optional[str],
    kvstore: Optional[str],
    overwrite: bool,
) -> None:
    """Trains the model of JOB.yaml (YAML or JSON) and exports it.

    The output folder receives metrics.json, training_curve.csv, job.resolved.yaml, a sample of the
    data, checkpoint.params, and what is listed below. Any MXNet 1.9 program reads the model,
    model-symbol.json and model-0000.params; GluonTS reads predictor/. A run that was interrupted
    continues when it is started again.

    The exit status is 0, 2 if something is wrong with the input, 130 after Ctrl-C and 143 after
    SIGTERM, for which the state of the training is saved.
    """
    job = _job(job_file, output, device, devices, kvstore)
    result = train_job(job, overwrite)
    if result.folder is None or result.metrics is None:
        return
    if result.was_finished:
        click.echo(f"{result.folder.path}: finished before; --overwrite trains it again")
    for line in kind_of(job.task).summary(result.metrics):
        click.echo(line)
    for line in result.metrics.get("warnings", ()):
        click.echo(f"warning: {line}")
    click.echo(f"results in {result.folder.path}")


def _job(job_file, output, device, devices, kvstore):
    overrides = {"output": output, "context": device, "training.kvstore": kvstore}
    if devices is not None:
        overrides["devices"] = devices.split(",")
    return read_job(job_file, overrides)


@command.command(context_settings={"ignore_unknown_options": True})
@click.option("--workers", type=click.IntRange(1, 1024), required=True, help="How many train.")
@click.option(
    "--servers",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="How many add up the gradients.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Of the scheduler; else a free one.")
@LOG
@click.argument("arguments", metavar="-- train JOB.yaml ...", nargs=-1, required=True)
def launch(workers: int, servers: int, port: Optional[int], arguments: Tuple[str, ...]) -> NoReturn:
    """Runs `gluon-linalg train JOB.yaml` in several processes of this machine that train together.

    \b
    gluon-linalg launch --workers 2 -- train job.yaml

    They have `training.kvstore: dist_sync`, whatever the job says. Over several machines, start one
    process on each as docs/distributed.md says.
    """
    sys.exit(launch_job(_distributed(arguments), workers, servers, port))


def _distributed(arguments):
    """The arguments of `train` for each process; wrong ones are refused before any is started."""
    name, *rest = arguments
    if name != "train":
        raise JobError(f"launch: '{name}': expected train JOB.yaml after --")
    values = train.make_context("train", list(rest)).params
    values.update(kvstore=None)
    values.pop("overwrite")
    job = _job(**values)
    if not job.has_steps():
        raise JobError(f"{values['job_file']}: {job.task} is computed by one process; use train")
    # Of an option that is given twice the last one counts.
    return [name, *rest, "--kvstore", DISTRIBUTED]


@command.command()
def schema() -> None:
    """Prints the JSON schema of a job file, by which editors complete and check it.

    \b
    gluon-linalg schema > job.schema.json

    In the first line a job file says where it is:

    \b
    # yaml-language-server: $schema=job.schema.json
    """
    click.echo(json.dumps(job_schema(), indent=2))


@command.command()
def info() -> None:
    """Prints the versions in use, and whether operators in C++ are used, or why not."""
    for name, version in versions().items():
        click.echo(f"{name.replace('_', '-')}: {version}")
    status = backend_status()
    click.echo(f"backend: {status.backend}, {status.reason}")


@command.command(cls=OfKinds, tell=lambda kind: kind.predicts)
@click.argument("folder", metavar="OUT")
@click.option("--data", "data_path", required=True, metavar="NEW.csv", help="The rows.")
@click.option(
    "--output", metavar="FILE", help="Write here, - for stdout, instead of to OUT/predictions.csv."
)
@DEVICE
@LOG
def predict(folder: str, data_path: str, output: Optional[str], device: str) -> None:
    """Predicts new observations with the model that `train` has left in OUT.

    What NEW.csv needs, and what is predicted, depends on the kind of job. Predictions of a target
    have mean, std, lower_95 and upper_95, in its units.
    """
    path, rows, what = predict_file(folder, data_path, output, device)
    log.event("predicted", rows=rows, data=data_path, output=path)
    if path != STDOUT:
        click.echo(f"{rows} {what} in {path}")


@command.command()
@click.argument("folder", metavar="OUT")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for all networks.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--max-body", type=POSITIVE, default=10_000_000, show_default=True, help="Bytes.")
@click.option("--max-rows", type=POSITIVE, default=10_000, show_default=True, help="Per request.")
@click.option(
    "--timeout", type=SECONDS, default=60.0, show_default=True, help="Seconds for an answer."
)
@click.option(
    "--states",
    metavar="FOLDER",
    help="Keep the states of series that grow there, for POST /series/NAME; task: statespace only.",
)
@DEVICE
def serve(
    folder: str,
    host: str,
    port: int,
    max_body: int,
    max_rows: int,
    timeout: float,
    states: Optional[str],
    device: str,
) -> None:
    """Answers requests over HTTP with the model that `train` has left in OUT.

    POST /invocations takes rows as JSON or CSV and answers with what `predict` would write; GET
    /ping says whether the model answers, and /docs describes both. With --states, POST /series/NAME
    adds rows to the series of that name, each in the same time, and answers with its forecast. The
    log, a JSON object a line, goes to stderr. SIGTERM and Ctrl-C end the server after the requests
    it has accepted; the exit status is 0, or 2 if it cannot start.
    """
    from .serving.server import Limits
    from .serving.server import serve as serve_model

    limits = Limits(max_body, max_rows, timeout)
    serve_model(folder, host, port, limits, device, click.echo, states)


@command.command()
@click.argument("folder", metavar="OUT")
@click.option(
    "--rows", "row_counts", default="1,32,1024", show_default=True, help="Numbers of rows."
)
@click.option("--seconds", type=SECONDS, default=3.0, show_default=True, help="For each of these.")
@click.option("--url", help="Ask the server of this model there, with one client.")
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def bench(
    folder: str, row_counts: str, seconds: float, url: Optional[str], device: str, as_json: bool
) -> None:
    """Measures latency and throughput of the model that `train` has left in OUT."""
    from .serving.bench import bench as measure
    from .serving.bench import lines

    report = measure(folder, row_counts, seconds, device, url)
    for line in [json.dumps(report, indent=2)] if as_json else lines(report):
        click.echo(line)
