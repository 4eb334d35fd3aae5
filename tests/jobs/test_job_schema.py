"""The JSON schema of job files agrees with what `train` takes and refuses."""

import json

import pytest
import small_forecast_job
import small_statespace_job
import yaml
from jsonschema import Draft7Validator
from small_job import JOB, ROOT, changed

from gluon_linalg.jobs.errors import JobError
from gluon_linalg.jobs.job_schema import job_schema
from gluon_linalg.jobs.kinds import NAMES
from gluon_linalg.jobs.reading import PlainLoader, validate

EXAMPLES = sorted(ROOT.glob("examples/*/*.yaml"))
BLR = {
    "task": "blr",
    "data": {"path": "t.csv", "inputs": ["x"], "target": "y"},
    "model": {"features": {"linear": {}}},
    "output": "out",
}
PCA = {"task": "pca", "data": {"path": "t.csv", "columns": ["x", "z"]}, "output": "out"}
LDA = {
    "task": "lda",
    "data": {"path": "t.csv", "columns": ["x", "z"], "target": "kind"},
    "output": "out",
}
SERIES, FORECAST = small_statespace_job.JOB, small_forecast_job.FORECAST_JOB
LEVEL = {"level": {"level_variance": 1}}
SEVERAL = {
    "task": "multivariate",
    "data": {"path": "t.csv", "targets": ["x", "y"]},
    "model": {"process": {"linear": {"states": 1, "transition": [[0.5]]}}},
    "training": {"optimizer": "em"},
    "output": "out",
}
JOBS = (JOB, BLR, PCA, LDA, SERIES, FORECAST, SEVERAL)
KERNEL, COMPONENTS = "model.kernel", "model.components"


@pytest.fixture(scope="module")
def check():
    """Whether a document is a job by the schema."""
    return Draft7Validator(job_schema()).is_valid


def is_job(document):
    """Whether `train` takes the document, read as a file is."""
    try:
        validate("job.yaml", yaml.load(yaml.safe_dump(document), Loader=PlainLoader))
    except JobError:
        return False
    return True


def test_the_command_prints_it(run):
    status, out, _ = run("schema")
    assert status == 0 and json.loads(out) == job_schema()
    Draft7Validator.check_schema(json.loads(out))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_examples_are_jobs(check, path):
    text = path.read_text(encoding="utf-8")
    assert check(yaml.safe_load(text))
    # And what is written as job.resolved.yaml is one, too.
    job = validate(str(path), yaml.load(text, Loader=PlainLoader))
    assert check(job.model_dump(mode="json"))


def test_every_task_is_tried():
    assert {job["task"] for job in JOBS} == set(NAMES)
    jobs = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in EXAMPLES]
    assert {job.get("task", "gp") for job in jobs} == set(NAMES)


@pytest.mark.parametrize(
    "job, changes",
    [
        *((job, {}) for job in JOBS),
        (JOB, {"task": ...}),
        (JOB, {f"{KERNEL}.rbf.lengthscale": [1, 2.5], "data.inputs": ["x", "z"]}),
        (JOB, {KERNEL: {"sum": [{"rbf": {}}, {"product": [{"linear": {}}, {"white": {}}]}]}}),
        (JOB, {KERNEL: {"scaled": {"kernel": {"periodic": {"period": 12}}}}}),
        (JOB, {"data.holdout": {"last": 3, "fraction": None}}),
        (JOB, {"data.holdout": "none", "model.noise_variance": None, "devices": None}),
        (JOB, {"data.inputs": [2019, True], "data.target": 2020, "data.path": 5}),
        (JOB, {"model.jitter": "auto", f"{KERNEL}.rbf.fixed": ["lengthscale"]}),
        (JOB, {"model.jitter": 0.5, "data.separator": "tab", "data.decimal": ","}),
        (BLR, {"model.prior_variance": [1, 2], "model.features": {"linear": {}}}),
        (BLR, {"model.prior_variance": 2, "model.features": {"mlp": {"hidden": [3]}}}),
        (PCA, {"model": {"components": 1, "whiten": True}}),
        (SERIES, {COMPONENTS: [{"ar": {"order": 2, "coefficients": [0.1, 0.2]}}]}),
        (SERIES, {COMPONENTS: [{"ar": {"coefficients": 0.1}}]}),
        (SERIES, {COMPONENTS: [{"level": {"prior": [0, 1]}}]}),
        (SERIES, {COMPONENTS: [{"trend": {"prior": [[0, 1], 1]}}]}),
        (SERIES, {COMPONENTS: [{"level": {"prior": "diffuse"}}]}),
        (SERIES, {"data.step": 0.5}),
        (SERIES, {"data.step": "month"}),
        (SERIES, {"data.step": "15min"}),
        (FORECAST, {"model.options": {"num_layers": 2, "cell": ["a", {"b": 1}]}}),
    ],
)
def test_jobs_are_taken(check, job, changes):
    document = changed(job, changes)
    assert is_job(document) and check(document)


MISTAKES = [
    *((job, {"taks": "gp"}) for job in JOBS),
    *((job, {"data.pathh": "a"}) for job in JOBS),
    *((job, {"model.dtypee": "float32"}) for job in JOBS),
    *((job, {"data.path": ...}) for job in JOBS),
    *((job, {"output": ...}) for job in JOBS),
    *((job, {"model": []}) for job in JOBS),
    *((job, {"context": "gpus"}) for job in JOBS),
    (JOB, {"task": "pg"}),
    # A task with the keys of another.
    (JOB, {"task": "blr"}),
    (JOB, {"forecast": {"steps": 3}}),
    (PCA, {"training": {}}),
    (PCA, {"data.target": "y"}),
    # A choice has one key, and that is no null.
    (JOB, {f"{KERNEL}.matern12": {}}),
    (JOB, {KERNEL: {}}),
    (JOB, {KERNEL: {"rbf": None}}),
    (JOB, {KERNEL: None}),
    (JOB, {KERNEL: "rbf"}),
    (JOB, {KERNEL: {"sum": [{"rbf": {}, "white": {}}]}}),
    (JOB, {KERNEL: {"sum": []}}),
    (JOB, {KERNEL: {"product": {"rbf": {}}}}),
    (JOB, {KERNEL: {"scaled": {}}}),
    (JOB, {KERNEL: {"rfb": {}}}),
    (JOB, {KERNEL: [{"rbf": {}}]}),
    (JOB, {f"{KERNEL}.rbf.period": 1}),
    (BLR, {"model.features": {"linear": {}, "mlp": {}}}),
    (BLR, {"model.features": {}}),
    (SERIES, {COMPONENTS: []}),
    (SERIES, {COMPONENTS: LEVEL}),
    (SERIES, {COMPONENTS: [{**LEVEL, "ar": {}}]}),
    (SERIES, {COMPONENTS: [{"levels": {}}]}),
    # Numbers and lists of them.
    (JOB, {f"{KERNEL}.rbf.lengthscale": 0}),
    (JOB, {f"{KERNEL}.rbf.lengthscale": [1, -1], "data.inputs": ["x", "z"]}),
    (JOB, {f"{KERNEL}.rbf.lengthscale": []}),
    (JOB, {f"{KERNEL}.rbf.lengthscale": "long"}),
    (JOB, {f"{KERNEL}.rbf.lengthscale": {"x": 1}}),
    (JOB, {f"{KERNEL}.rbf.variance": [1]}),
    (JOB, {f"{KERNEL}.rbf.variance": True}),
    (JOB, {"model.noise_variance": -1}),
    (JOB, {"model.fixed": ["variance"]}),
    (JOB, {f"{KERNEL}.rbf.fixed": ["period"]}),
    (SERIES, {COMPONENTS: [{"trend": {"fixed": ["slope"], "slope_variance": 1}}]}),
    (JOB, {"model.jitter": 1}),
    (JOB, {"model.jitter": "automatic"}),
    (JOB, {"training.iterations": -1}),
    (JOB, {"training.iterations": 1.5}),
    (JOB, {"training.tolerance": -1e-9}),
    (JOB, {"training": {"optimizer": "adam", "learning_rate": 0}}),
    (JOB, {"training.optimizer": "adamm"}),
    (JOB, {"data.holdout": {"last": 2, "fraction": 0.1}}),
    (JOB, {"data.holdout": {}}),
    (JOB, {"data.holdout": {"fraction": 1}}),
    (JOB, {"data.inputs": "x"}),
    (JOB, {"data.inputs": []}),
    (JOB, {"data.separator": "/"}),
    (JOB, {"seed": -1}),
    (BLR, {"model.prior_variance": 0}),
    (LDA, {"model": {"ridge": -1}}),
    (LDA, {"data.holdout": {}}),
    (SERIES, {COMPONENTS: [{"level": {"level_variance": -1}}]}),
    (SERIES, {COMPONENTS: [{"cycle": {"period": 2}}]}),
    (SERIES, {COMPONENTS: [{"seasonal": {}}]}),
    (SERIES, {COMPONENTS: [{"level": {"prior": [0]}}]}),
    (SERIES, {COMPONENTS: [{"level": {"prior": "flat"}}]}),
    (SERIES, {"data.step": 0}),
    (SERIES, {"data.step": "15 minutes ago"}),
    (SERIES, {"forecast.steps": -1}),
    (FORECAST, {"model.estimator": "arima"}),
    (FORECAST, {"model.prediction_length": ...}),
]


@pytest.mark.parametrize("job, changes", MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_found(check, job, changes):
    document = changed(job, changes)
    assert not is_job(document) and not check(document)


def test_mistakes_are_told_where_they_are():
    """And not for all tasks at once, as a choice among five would."""
    document = changed(SERIES, {COMPONENTS: [LEVEL, {"seasonal": {"periods": 12}}]})
    errors = list(Draft7Validator(job_schema()).iter_errors(document))
    assert {tuple(error.absolute_path) for error in errors} == {
        ("model", "components", 1, "seasonal")
    }
    assert len(errors) == 2, "the unknown key, and the missing one"


def test_sections_are_closed_and_described():
    schema = job_schema()
    for name, section in schema["$defs"].items():
        assert section["additionalProperties"] is False, name
        assert section["description"], name
        for key, described in section.get("properties", {}).items():
            assert "description" in described or "$ref" in described, (name, key)
