"""The values for Dagster's chart, as the launcher that they configure understands them: up to the
Kubernetes Job of a run, but for a cluster that would run it.

Needs dagster-k8s, which nothing else here does: `pip install dagster-k8s`.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dagster_k8s") is None,
    reason="dagster-k8s is not installed (pip install dagster-k8s)",
)


@pytest.fixture(scope="module")
def values() -> Any:
    return yaml.safe_load((ROOT / "deploy" / "kubernetes" / "values.yaml").read_text("utf-8"))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def launcher_config(values: Any) -> dict[str, Any]:
    """What the chart writes into dagster.yaml of `runLauncher` and its own names."""
    given = values["runLauncher"]["config"]["k8sRunLauncher"]
    secrets = [each["name"] for each in given["envSecrets"]]
    run = {snake(name): part for name, part in given["runK8sConfig"].items()}
    assert set(given) == {"envSecrets", "runK8sConfig"}
    return {
        "instance_config_map": "dagster-instance",
        "postgres_password_secret": "dagster-postgresql-secret",
        "dagster_home": "/opt/dagster/dagster_home",
        "service_account_name": "dagster",
        "job_namespace": "default",
        "load_incluster_config": True,
        "env_secrets": secrets,
        "run_k8s_config": run,
    }


def test_the_launcher_takes_its_configuration(values: Any) -> None:
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher

    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    kind = resolve_to_config_type(K8sRunLauncher.config_type())
    done = process_config(kind, launcher_config(values))
    assert done.success, done.errors
    refused = process_config(kind, {**launcher_config(values), "run_k8s_confg": {}})
    assert not refused.success


def test_a_run_becomes_a_job_with_its_secrets_limits_and_no_root(values: Any) -> None:
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job

    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    config = launcher_config(values)
    assert [each["name"] for each in deployment["envSecrets"]] == config["env_secrets"]
    context = K8sContainerContext.create_from_config(
        {"k8s": {name: config[name] for name in ("env_secrets", "run_k8s_config")}}
    )
    image = f"{deployment['image']['repository']}:{deployment['image']['tag']}"
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(
            job_image=image,
            dagster_home=config["dagster_home"],
            instance_config_map=config["instance_config_map"],
            postgres_password_secret=config["postgres_password_secret"],
        ),
        args=["dagster", "api", "execute_run"],
        job_name="dagster-run-x",
        user_defined_k8s_config=context.run_k8s_config,
    )
    (container,) = job.spec.template.spec.containers
    assert container.image == image
    assert [source.secret_ref.name for source in container.env_from] == ["llmops"]
    assert container.resources.limits == {"memory": "6Gi"}
    assert container.resources.requests == {"cpu": "1", "memory": "2Gi"}
    assert container.security_context.run_as_non_root is True
    assert container.security_context.allow_privilege_escalation is False
    assert job.spec.template.spec.restart_policy == "Never"


def test_pools_and_monitoring_are_those_of_the_other_deployments(values: Any) -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text("utf-8"))
    pools = {snake(name): each for name, each in values["concurrency"]["pools"].items()}
    assert pools == shipped["concurrency"]["pools"]
    assert values["dagsterDaemon"]["runMonitoring"]["enabled"] is True
