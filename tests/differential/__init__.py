"""Made-up deployments, asked of Docker Compose and of us: ``python -m tests.differential``."""
