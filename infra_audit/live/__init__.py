"""Running projects to the same model that files give.

``address`` finds the engine, ``reach`` and ``connection`` speak with it, ``snapshot`` asks it all, once; ``probes`` ask
what runs inside; ``masking`` takes the secrets out; ``store`` saves and loads; ``normalize`` makes the Compose-shaped
tree.
"""
