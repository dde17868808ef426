"""Running projects to the same model that files give.

``snapshot`` asks the engine, once, and is the only importer of the Docker SDK; ``probes`` ask what runs inside;
``masking`` takes the secrets out; ``store`` saves and loads; ``normalize`` makes the Compose-shaped tree.
"""
