"""What this repository's own suites and tests need; users of the plugin need none of it."""

pytest_plugins = ["pytester"]
