"""How many replicas the work needs: the signal, the policy, and Ray's adapter for it."""
