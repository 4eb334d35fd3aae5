"""compose.yaml against the schema of the Compose specification, and against the Dockerfiles.

compose-spec.json is schema/compose-spec.json of github.com/compose-spec/compose-spec at 170098b
(June 2026, Apache License 2.0), unchanged.
"""

import json
import re

import jsonschema
import pytest
import yaml
from docker_files import DOCKER, ROOT
from dockerfile import instructions

from gluon_linalg.jobs.commands import command
from gluon_linalg.jobs.workers import meeting_point

SCHEMA = ROOT / "tests" / "docker" / "compose-spec.json"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
DISTRIBUTED = ("scheduler", "server", "worker")


@pytest.fixture(scope="module")
def document():
    """compose.yaml with the defaults of its variables."""
    return yaml.safe_load(VARIABLE.sub(r"\2", (DOCKER / "compose.yaml").read_text()))


@pytest.fixture(scope="module")
def services(document):
    return document["services"]


def test_it_follows_the_specification(document):
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(document)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**document, "service": {}})


def test_the_services(services):
    assert set(services) == {"train-cpu", "train-gpu", "serve", *DISTRIBUTED}


def test_all_are_shut_in(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/tmp"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "user" not in service and "privileged" not in service, name
        places = [volume.split(":") for volume in service["volumes"]]
        assert [p for p in places if p[-1] != "ro"] in ([["out", "/out"]], []), name


def test_none_takes_the_whole_machine(services):
    for name, service in services.items():
        assert service["cpus"] == 2 and service["mem_limit"] == "4g", name
        assert 0 < service["pids_limit"] <= 1024, name
        # A share such as 1.5 is for the entry point to round.
        assert "OMP_NUM_THREADS" not in service.get("environment", {}), name


def test_jobs_do_not_meet_in_one_folder():
    """A second job would be refused: the folder holds the results of another one."""
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        arguments = dict(zip(service["command"], service["command"][1:]))
        output = arguments["serve" if name == "serve" else "--output"]
        job = "panel/job.yaml" if name in DISTRIBUTED else "co2/job.yaml"
        assert output == f"/out/${{JOB:-{job}}}", name


def test_a_server_without_a_model_gives_up(services):
    policies = {name: service.get("restart") for name, service in services.items()}
    assert re.fullmatch(r"on-failure:\d+", policies.pop("serve"))
    assert set(policies.values()) == {None}


def test_commands_are_those_of_the_command_line(services):
    for name, service in services.items():
        first, *arguments = service["command"]
        subcommand = command.commands[first]
        known = {option for parameter in subcommand.params for option in parameter.opts}
        given = {argument for argument in arguments if argument.startswith("--")}
        assert given <= known, f"{name}: gluon-linalg {first} has no {sorted(given - known)}"


@pytest.mark.parametrize("name", ["train-cpu", "train-gpu", *DISTRIBUTED])
def test_the_default_job_is_there(services, name):
    source, target, _ = services[name]["volumes"][0].split(":")
    path = next(a for a in services[name]["command"] if a.endswith(".yaml"))
    assert (DOCKER / source / path[len(target) + 1 :]).is_file()


def test_every_dockerfile_is_built_from_the_checkout(services):
    for service in services.values():
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        kind = service["image"].partition(":")[2]
        assert service["build"]["dockerfile"].endswith(f".{kind}")


def test_the_gpu_is_reserved(services):
    (device,) = services["train-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_serve_listens_where_it_says(services):
    serve = services["serve"]
    port = dict(zip(serve["command"], serve["command"][1:]))["--port"]
    assert serve["ports"] == [f"127.0.0.1:8080:{port}"]
    (check,) = [v for name, v in instructions(DOCKER / "Dockerfile.cpu") if name == "HEALTHCHECK"]
    assert json.loads(check.partition("CMD ")[2]) == serve["healthcheck"]["test"][1:]


def test_the_distributed_services_find_each_other(services):
    commands = [services[name]["command"] for name in DISTRIBUTED]
    assert commands[0] == commands[1] == commands[2]
    environments = [dict(services[name]["environment"]) for name in DISTRIBUTED]
    assert [environment.pop("DMLC_ROLE") for environment in environments] == list(DISTRIBUTED)
    first = environments[0]
    assert environments == [first] * 3
    assert set(meeting_point("", 0, 1, 1)) <= set(first)
    assert first["DMLC_PS_ROOT_URI"] in services
    assert int(first["DMLC_NUM_WORKER"]) == services["worker"]["deploy"]["replicas"]
