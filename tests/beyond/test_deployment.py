"""What is shipped for clusters is what Kubernetes and shells accept, and sums up as told."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from bench.site import Work, simulate
from cadcfs import config
from tests.rig import Run

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize("name", ["daemonset.yaml", "sidecar.yaml"])
def test_manifests_are_of_the_schema(name: str) -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", ["daemonset.yaml", "sidecar.yaml"])
def test_manifests_use_settings_that_exist(name: str) -> None:
    text = (DEPLOY / "kubernetes" / name).read_text()
    for document in yaml.safe_load_all(text):
        pod = document["spec"].get("template", document)["spec"]
        for container in pod["containers"] + pod.get("initContainers", []):
            named = {one["name"]: one["value"] for one in container.get("env", [])}
            known = {f"CADCFS_{key.upper()}" for key in config.shown(config.Settings())}
            assert set(named) <= known
            config.load({}, environ=named, files=())


def test_scripts_of_slurm_are_shell(run: Run) -> None:
    for name in ("prolog.sh", "epilog.sh"):
        assert run("sh", "-n", DEPLOY / "slurm" / name).returncode == 0


def test_the_simulation_is_of_the_slices_that_are_shipped() -> None:
    shipped = (DEPLOY.parent / "docs" / "site" / "nginx.conf").read_text()
    assert f"slice {Work().slice}m;" in shipped


def test_the_simulation_says_the_same_again() -> None:
    work = Work(nodes=50, jobs=300, files=100)
    without, with_one = simulate(work)
    assert (without, with_one) == simulate(work)
    # No more than each byte of each file, whatever the number of nodes.
    assert with_one.mebibytes <= 100 * 300 < without.mebibytes
    assert with_one.requests < without.requests
