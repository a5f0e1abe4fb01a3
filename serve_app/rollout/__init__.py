"""Rolling the service out on Kubernetes.

`manifest`, `impact`, `status`, `verdict` and `history` are pure; `cluster` talks to the API server;
`rollout` joins them.
"""
