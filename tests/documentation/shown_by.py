"""What shows that each command of a document works.

A test that runs the command, or one that runs what it stands for with other names and addresses;
or the program that a person runs for it; or a dry run (`dry_run.py`), where it needs what is not
here: Azure, a cluster, Docker, or minutes. A dry run is made of every command, also of these.
"""

from typing import Final

DRY_RUN: Final = "dry run"
CLIENT: Final = "tests/unit/client/test_documentation.py"
CURL: Final = f"{CLIENT}::test_the_first_request_runs"
SHELL: Final = f"{CLIENT}::test_shell_commands_run"
LAUNCH: Final = "tests/serve/test_launch.py"
SESSIONS: Final = "tests/serve/test_service.py::test_the_sessions_of_the_documents_are_as_they_say"
ROLLOUT: Final = "tests/k8s/rollout/test_command.py"

SHOWN_BY: Final = {
    # The service
    "make serve": LAUNCH,
    "make check": ".ci/run",
    "make test": "tests",
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 make serve": "tests/serve/test_tracing.py",
    "curl http://127.0.0.1:8000/project/predict "
    """-d '{"text": ["I love this!", "What a waste."]}'""": CURL,
    "make monitoring": "tests/monitoring/test_monitoring.py",
    "GF_PATHS_PROVISIONING=$PWD/monitoring/grafana/provisioning "
    "SENTIMENT_DASHBOARDS=$PWD/monitoring/dashboards grafana server": DRY_RUN,
    # The command line
    'sentiment predict "I love this!" "What a waste."': SHELL,
    "sentiment predict -i reviews.csv -o scored.csv": SHELL,
    "sentiment predict -i reviews.csv -o scored.csv --resume": SHELL,
    "sentiment predict -i reviews.jsonl --column body --local | jq .predicted_label": SHELL,
    "sentiment batch reviews.parquet scored/": "tests/serve/test_batch.py",
    "sentiment model info path/to/model": "tests/contract/test_three_labels.py",
    "sentiment model prepare path/to/model": "tests/contract/test_three_labels.py",
    "sentiment model evaluate path/to/dev.tsv --model path/to/model": (
        "tests/contract/test_three_labels.py"
    ),
    "sentiment capacity --rps 2000 --texts 1 --tokens 24 --hit-rate 0.6": SESSIONS,
    "cat reviews.csv": SESSIONS,
    "cat scored.csv": SESSIONS,
    "sentiment predict --input reviews.csv --output scored.csv": SESSIONS,
    "sentiment predict --url http://127.0.0.1:9 hello": SESSIONS,
    "pip install -c constraints.txt -e '.[batch]'": "tests/unit/test_extras.py",
    "pip install -c constraints.txt -e '.[kuberay]'": "tests/unit/test_extras.py",
    # Training
    "pip install -c constraints.txt -e '.[training]'": "tests/unit/test_extras.py",
    "python -m training --preset quick --train training/example/train.tsv "
    "--evaluate dev=training/example/dev.tsv --output models/three-labels": (
        "tests/unit/training/test_program.py"
    ),
    "sentiment model info models/three-labels": "tests/contract/test_three_labels.py",
    "python -m training --preset quick --base-path models/three-labels --train my/train.tsv "
    "--evaluate dev=my/dev.tsv --output models/mine": "tests/unit/training/test_program.py",
    # Load tests
    "make load SCENARIO=family": "tests/serve/test_load.py",
    "make load SCENARIO=zipf URL=http://host:80": "tests/serve/test_load.py",
    "sentiment report results/A results/B": "tests/unit/loadtest/test_report.py",
    # Benchmarks
    "make bench": "loadtest/bench/__main__.py",
    "make compare": "loadtest/compare/__main__.py",
    "python -m loadtest.compare --systems fastapi --sessions 1": "loadtest/compare/__main__.py",
    "python -m loadtest.compare --report": "loadtest/compare/__main__.py",
    # The image
    "make image": "tests/image/__main__.py",
    "make image BASE=python:3.11-slim-trixie": DRY_RUN,
    "make image ARGS='--build-arg MODEL_ID=winegarj/distilbert-base-uncased-finetuned-sst2 "
    "--build-arg MODEL_REVISION=<commit>'": "tests/image/hub.py",
    "make image ARGS='--build-context model=path/to/model --build-arg MODEL_ID=my-model'": (
        "tests/image/__main__.py"
    ),
    "docker run --read-only --tmpfs /tmp:exec --cap-drop all --security-opt no-new-privileges "
    "-p 127.0.0.1:8000:8000 sentiment-serve": "tests/image/container.py",
    # Kubernetes
    "docker tag sentiment-serve sentiment-serve:dev": "tests/k8s/test_platform.py",
    "curl --retry 5 --retry-connrefused http://127.0.0.1:8000/project/predict "
    """-d '{"text": ["I love this!", "What a waste."]}'""": DRY_RUN,
    "kubectl apply -k kuberay/overlays/dev": "tests/k8s/test_schemas.py",
    "kubectl kustomize kuberay/overlays/prod | sentiment rollout diff -": ROLLOUT,
    "kubectl kustomize kuberay/overlays/prod | sentiment rollout apply - "
    "--url https://app.example.com": "tests/k8s/rollout/test_production.py",
    "kubectl kustomize kuberay/overlays/prod | sentiment rollout apply "
    "--url https://sentiment.example.com -": "tests/k8s/rollout/test_production.py",
    "sentiment rollout status sentiment --namespace sentiment": ROLLOUT,
    "sentiment rollout rollback sentiment --namespace sentiment --url https://app.example.com": (
        "tests/k8s/rollout/test_rollback.py"
    ),
    "curl https://sentiment.example.com/project/predict "
    """-d '{"text": ["I love this!", "What a waste."]}'""": DRY_RUN,
    "helm repo add kuberay https://ray-project.github.io/kuberay-helm/": DRY_RUN,
    "helm install kuberay-operator kuberay/kuberay-operator --version 1.7.0 "
    "--namespace kuberay-system --create-namespace --wait": DRY_RUN,
    "kubectl -n sentiment-dev wait rayservice/sentiment --for=condition=Ready --timeout=10m": (
        DRY_RUN
    ),
    "kubectl -n sentiment-dev port-forward service/sentiment-serve-svc 8000 &": DRY_RUN,
    "az login": DRY_RUN,
    "az quota update --resource-name standardDDSv5Family --resource-type dedicated"
    " --limit-object value=158 limit-object-type=LimitValue"
    " --scope /subscriptions/$(az account show --query id --output tsv)"
    "/providers/Microsoft.Compute/locations/swedencentral": DRY_RUN,
    **dict.fromkeys(
        (
            "kuberay/platform/10-cluster.sh",
            "kuberay/platform/20-redis.sh",
            "kuberay/platform/30-secrets.sh",
            "kuberay/platform/40-operators.sh",
            "kuberay/platform/50-gateway.sh certificate.pem key.pem",
            "kuberay/platform/60-site.sh",
            "kuberay/platform/70-image.sh python:3.11-slim-bookworm "
            "winegarj/distilbert-base-uncased-finetuned-sst2 REVISION",
        ),
        "tests/k8s/test_platform.py",
    ),
}
