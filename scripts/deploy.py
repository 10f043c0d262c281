"""Holds compose.yaml, manifests/kubernetes and packaging/systemd to their own formats and to the shop's manifest, for
scripts/deploy.sh.

What Docker and a cluster would say is said here by their formats: the Compose specification, and the schemas of
Kubernetes. What they could not know is said by comparing: every variable, database, file and port is somebody else's too.
"""

import json
import pathlib
import re
import sys
import tomllib

import compose_spec
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
KUBERNETES = "1.33.0"
wrong = []


def hold(is_right, sentence):
    if not is_right:
        wrong.append(sentence)


def toml(path):
    return tomllib.loads((ROOT / path).read_text())


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def texts_from(value, key):
    """The variables or files that a manifest reads."""
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            yield value[key]
        for member in value.values():
            yield from texts_from(member, key)


# compose.yaml

VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def compose(shop):
    text = (ROOT / "compose.yaml").read_text()
    hold(not re.search(r"\$\{\w+\}|\$\w", text), "compose.yaml: a variable has no default")
    for choose in (lambda found: found[2], lambda found: "7" if found[1].endswith("_PORT") else "chosen"):
        try:
            compose_spec.PyCompose.from_yaml(VARIABLE.sub(choose, text))
        except ValueError as error:
            hold(False, f"compose.yaml: {error}")
    services = yaml.safe_load(VARIABLE.sub(lambda found: found[2], text))["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            hold(not source.startswith(".") or (ROOT / source).exists(), f"compose.yaml: {name}: there is no {source}")
        for port in service.get("ports", []):
            hold(str(port).startswith("127.0.0.1:"), f"compose.yaml: {name}: {port} is open to the network")
        for other in service.get("depends_on", {}):
            hold("profiles" not in services[other] or "profiles" in service, f"compose.yaml: {name} needs {other}")
    usual = {name for name, service in services.items() if "profiles" not in service}
    hold(usual == {"archipel", "postgres", "redis"}, f"compose.yaml: without a profile there is {sorted(usual)}")
    host = services["archipel"]
    asked = {name for name in texts_from(shop, "env")}
    hold(asked <= host["environment"].keys(), f"compose.yaml: not set: {asked - host['environment'].keys()}")
    databases = (ROOT / "packaging/postgres.sql").read_text()
    for name in shop["postgres"]:
        url = host["environment"][f"{name.upper()}_DATABASE_URL"]
        owner, password, database = re.fullmatch(r"postgres://(\w+):(\w+)@postgres/(\w+)", url).groups()
        hold(f"CREATE ROLE {owner} LOGIN PASSWORD '{password}';" in databases, f"postgres.sql: no role {owner}")
        hold(f"CREATE DATABASE {database} OWNER {owner};" in databases, f"postgres.sql: no database {database}")
    drain = seconds(shop.get("host", {}).get("drain", "30s"))
    hold(seconds(host["stop_grace_period"]) > drain + 1, "compose.yaml: the host is killed while it drains")
    hold("--appendonly" in services["redis"]["command"], "compose.yaml: Redis keeps nothing")


# manifests/kubernetes

ELSEWHERE = ["host", "gateway", "admin", "auth", "postgres", "redis"]


def same_system(shop, mounted):
    """But for where things are."""

    def plain(manifest):
        services = {
            name: {key: value for key, value in service.items() if key not in ("component", "build")}
            for name, service in manifest["services"].items()
        }
        return {key: value for key, value in manifest.items() if key not in ELSEWHERE} | {"services": services}

    hold(plain(shop) == plain(mounted), "kubernetes/base/shop.toml: another system than manifests/shop.toml")
    for table in ("postgres", "redis"):
        hold(shop[table].keys() == mounted[table].keys(), f"kubernetes/base/shop.toml: other [{table}]")
    components = {name: pathlib.Path(service["component"]).name for name, service in shop["services"].items()}
    there = {name: pathlib.Path(service["component"]).name for name, service in mounted["services"].items()}
    hold(components == there, "kubernetes/base/shop.toml: other components")


def overlay(name, objects, mounted):
    for object in objects:
        what = f"{name}: {object['kind']} {object['metadata']['name']}"
        try:
            kubernetes_validate.validate(object, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            hold(False, f"{what}: {error.message}")
        hold("namespace" in object["metadata"] or object["kind"] == "Namespace", f"{what}: in no namespace")
    by = {(object["kind"], object["metadata"]["name"]): object for object in objects}
    for (kind, _), object in by.items():
        if kind == "Deployment":
            restricted(name, object)
    host = by["Deployment", "shop"]["spec"]
    pod, [container] = host["template"]["spec"], host["template"]["spec"]["containers"]
    labels = host["template"]["metadata"]["labels"]

    def selects(selector, what):
        hold(selector and selector.items() <= labels.items(), f"{name}: {what} does not select the host")

    selects(host["selector"]["matchLabels"], "the deployment")
    selects(by["Service", "shop"]["spec"]["selector"], "the service")
    selects(by["PodDisruptionBudget", "shop"]["spec"]["selector"]["matchLabels"], "the disruption budget")
    selects(by["NetworkPolicy", "shop"]["spec"]["podSelector"]["matchLabels"], "the network policy")
    for constraint in pod["topologySpreadConstraints"]:
        selects(constraint["labelSelector"]["matchLabels"], "a spread constraint")
    hold("replicas" not in host, f"{name}: the deployment and the autoscaler both say how many")
    percent = {
        metric["resource"]["name"]: metric["resource"]["target"]["averageUtilization"]
        for metric in by["HorizontalPodAutoscaler", "shop"]["spec"]["metrics"]
        if metric["type"] == "Resource"
    }
    hold(percent == {"cpu": 70, "memory": 80}, f"{name}: the autoscaler looks at {percent}")
    requests = container["resources"]["requests"]
    hold(percent.keys() <= requests.keys(), f"{name}: a percentage of no request")
    # What is mounted where, and what the manifest reads there.
    at = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    hold("subPath" not in json.dumps(container["volumeMounts"]), f"{name}: a single file does not follow its source")
    hold(container["args"][:2] == ["run", f"{at['manifest']}/shop.toml"], f"{name}: {container['args']}")
    hold("--apply-on-change" in container["args"], f"{name}: a changed ConfigMap is not applied")
    hold(by["ConfigMap", "shop-manifest"]["data"].keys() == {"shop.toml"}, f"{name}: another manifest")
    hold(mounted["host"]["data"] == at["data"], f"{name}: `host.data` is not the volume")
    read = {pathlib.PurePath(path) for path in texts_from(mounted, "file")}
    hold({str(path.parent) for path in read} == {at["secrets"]}, f"{name}: a file that is not mounted")
    if secret := by.get(("Secret", "shop-secrets")):
        hold(secret["data"].keys() == {path.name for path in read}, f"{name}: other secrets than are read")
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    listening = {"http": mounted["gateway"]["listen"], "admin": mounted["admin"]["listen"]}
    hold(ports == {key: value.rsplit(":", 1)[1] for key, value in listening.items()}, f"{name}: other ports")
    needed = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed += seconds(mounted["host"]["linger"]) + seconds(mounted["host"]["drain"]) + 1
    hold(pod["terminationGracePeriodSeconds"] > needed, f"{name}: killed before {needed} s have passed")


def restricted(name, deployment):
    """The restricted standard of pod security, which both namespaces enforce."""
    pod = deployment["spec"]["template"]["spec"]
    what = f"{name}: {deployment['metadata']['name']}"
    hold(pod["securityContext"]["runAsNonRoot"] is True, f"{what}: may be root")
    hold(pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, f"{what}: no seccomp")
    hold(pod["automountServiceAccountToken"] is False, f"{what}: has a token of the cluster")
    for container in pod["containers"]:
        security = container["securityContext"]
        hold(security["allowPrivilegeEscalation"] is False, f"{what}: may gain privileges")
        hold(security["capabilities"] == {"drop": ["ALL"]}, f"{what}: has capabilities")
        hold("memory" in container["resources"]["limits"], f"{what}: may take all memory")


def main(overlays):
    shop, mounted = toml("manifests/shop.toml"), toml("manifests/kubernetes/base/shop.toml")
    compose(shop)
    same_system(shop, mounted)
    copy = (ROOT / "manifests/kubernetes/overlays/dev/databases.sql").read_text().splitlines()[1:]
    original = (ROOT / "packaging/postgres.sql").read_text().splitlines()[1:]
    hold(copy == original, "overlays/dev/databases.sql: other databases than packaging/postgres.sql")
    for path in overlays:
        objects = list(yaml.safe_load_all(pathlib.Path(path).read_text()))
        overlay(pathlib.Path(path).stem, objects, mounted)
    print("\n".join(wrong) or "compose.yaml and manifests/kubernetes are right", file=sys.stderr)
    sys.exit(bool(wrong))


main(sys.argv[1:])
