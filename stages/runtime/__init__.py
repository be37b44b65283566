"""Where a stage runs: on the host, or in a container of Docker or Podman."""
